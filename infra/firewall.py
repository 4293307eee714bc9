"""AWS WAF before a REST API: who sends too much, and what is known to be hostile, is refused."""

from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.settings import InfraSettings

# Rules of the common set that look into bodies. They only count: a body holds files of megabytes
# as data URIs, addresses and texts of the user's, and a batch of twenty files must not be refused
# whole for what one of them looks like. What is in a body is checked where it is read.
_BODY_RULES = (
    "SizeRestrictions_BODY",
    "EC2MetaDataSSRF_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "CrossSiteScripting_BODY",
)


class Firewall(Construct):
    """A web ACL on one stage: a limit per address, AWS's reputation list, AWS's common rules.

    No samples are kept and nothing is logged: both would hold the header with the caller's key.
    The counts of every rule are in CloudWatch.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: InfraSettings, stage_arn: str
    ) -> None:
        super().__init__(scope, construct_id)
        name = f"trawl-{settings.stage}"
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            name=name,
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible(name),
            rules=[
                _rate_rule(0, settings.waf_rate),
                _managed_rule(1, "AWSManagedRulesAmazonIpReputationList"),
                _managed_rule(2, "AWSManagedRulesCommonRuleSet", counted=_BODY_RULES),
            ],
        )
        waf.CfnWebACLAssociation(
            self, "OnStage", resource_arn=stage_arn, web_acl_arn=self.acl.attr_arn
        )


def _rate_rule(priority: int, most: int) -> waf.CfnWebACL.RuleProperty:
    """Refuse an address that has sent more than `most` requests in five minutes, as throttling
    does."""
    rate = waf.CfnWebACL.RateBasedStatementProperty(
        limit=most, aggregate_key_type="IP", evaluation_window_sec=300
    )
    refusal = waf.CfnWebACL.CustomResponseProperty(response_code=429)
    return waf.CfnWebACL.RuleProperty(
        name="RatePerAddress",
        priority=priority,
        action=waf.CfnWebACL.RuleActionProperty(
            block=waf.CfnWebACL.BlockActionProperty(custom_response=refusal)
        ),
        statement=waf.CfnWebACL.StatementProperty(rate_based_statement=rate),
        visibility_config=_visible("RatePerAddress"),
    )


def _managed_rule(
    priority: int, group: str, *, counted: tuple[str, ...] = ()
) -> waf.CfnWebACL.RuleProperty:
    """Apply a rule group of AWS's, with some of its rules only counted."""
    count = waf.CfnWebACL.RuleActionProperty(count={})
    overrides = [
        waf.CfnWebACL.RuleActionOverrideProperty(name=name, action_to_use=count) for name in counted
    ]
    return waf.CfnWebACL.RuleProperty(
        name=group,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=group, rule_action_overrides=overrides or None
            )
        ),
        visibility_config=_visible(group),
    )


def _visible(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )
