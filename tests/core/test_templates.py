"""Templates: native types, undefined names, the published language, and hostile sources."""

import re
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import TemplateError
from core.templates import compile_template, compile_tree, is_template, render_value

SCOPE: dict[str, Any] = {
    "INPUT": {
        "query": "cat",
        "n": 3,
        "vec": [0.5] * 512,
        "flag": True,
        "nothing": None,
        "tags": ["b", "a", "c"],
        "page_size": 5,
        "nested": {"a": [{"b": 1}, {"b": 2}], "a.b": "dotted", "items": 7},
    },
    "DOC": {"title": "Été à Paris", "score": 0.75, "values_": 1, "s": "<b>"},
    "CONTEXT": {"INDEX": 1},
    "SECRET": {"token": "hidden-value", "other": "x"},
    "INDEX": 4,
}


def render(source: str, scope: dict[str, Any] | None = None) -> Any:
    return compile_template(source).render(SCOPE if scope is None else scope)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{INPUT.query}}", "cat"),
        ("{{ inputs.n }}", 3),
        ("{{ input['n'] }}", 3),
        ("{{ InPuTs.flag }}", True),
        ("{{INPUT.nothing}}", None),
        ("{{INPUT.nested.a[1]['b']}}", 2),
        ("{{INPUT.nested['a.b']}}", "dotted"),
        ("{{INPUT.nested.items}}", 7),
        ("{{INPUT.tags[-1]}}", "c"),
        ("{{INPUT.tags[0:2]}}", ["b", "a"]),
        ("{{INPUT.tags[:1]}}", ["b"]),
        ("{{INPUT.query[1]}}", "a"),
        ("{{ INDEX }}", 4),
        ("{{20 * inputs.page_size}}", 100),
        ("{{ 1 + 2 * 3 - 4 / 2 }}", 5.0),
        ("{{ (1 + 2) * 3 }}", 9),
        ("{{ 7 // 2 }}", 3),
        ("{{ 2 ** 3 ** 1 }}", 8),
        ("{{ -INPUT.n|abs }}", 3),
        ("{{ 'a' ~ 1 ~ true ~ 2.0 }}", "a1true2.0"),
        ("{{ INPUT.n > 2 ? 'many' : 'few' }}", "many"),
        ("{{ INPUT.n > 5 ? 'many' : INPUT.n > 2 ? 'some' : 'few' }}", "some"),
        ("{{ 'a?b:c' }}", "a?b:c"),
        ("{{ 'x' if INPUT.flag else 'y' }}", "x"),
        ("{{ not INPUT.flag }}", False),
        ("{{ not not INPUT.flag }}", True),
        ("{{ INPUT.n in [1, 3] and 'z' not in INPUT.tags }}", True),
        ("{{ 1 < INPUT.n <= 3 }}", True),
        ("{{ 1 == true }}", False),
        ("{{ 1 == 1.0 }}", True),
        ("{{ INPUT.zzz is defined }}", False),
        ("{{ INPUT.zzz is not defined }}", True),
        ("{{ INPUT.n is number and INPUT.query is string }}", True),
        ("{{ INPUT.zzz|default('d') }}", "d"),
        ("{{ INPUT.a.b.c|default([1]) }}", [1]),
        ("{{ zzz.q|default(3) }}", 3),
        ("{{ INPUT.tags|first }}{{ INPUT.tags|last }}", "bc"),
        ("{{ INPUT.tags|sort|join('-')|upper }}", "A-B-C"),
        ("{{ INPUT.tags|map('upper')|list }}", ["B", "A", "C"]),
        ("{{ INPUT.nested.a|map(attribute='b')|sum }}", 3),
        ("{{ INPUT.tags|length }}", 3),
        ("{{ INPUT.nested.a|tojson }}", '[{"b": 1}, {"b": 2}]'),
        ("{{ DOC.title|slugify }}", "ete-a-paris"),
        ("{{ 'no'|bool }}", False),
        ("{{ max(1, INPUT.n, 2) }}", 3),
        ("{{ min(INPUT.nested.a|map(attribute='b')) }}", 1),
        ("{{ [round(2.567, 1), ceil(1.2), floor(1.8), abs(-2)] }}", [2.6, 2, 1, 2]),
        ("{{ {'k': INPUT.n, 'v': [1]} }}", {"k": 3, "v": [1]}),
        ("{{ INPUT.query.upper() }}", "CAT"),
        ("{{ INPUT.query.replace('c', 'b') }}", "bat"),
        ("{{ INPUT.nested.get('zz', 9) }}", 9),
        ("{{ '42'|int + 1 }}", 43),
        ("q: {{INPUT.query}}, {{INPUT.n}}", "q: cat, 3"),
        ("{{INPUT.flag}} {{INPUT.nothing}} {{INPUT.tags}}", 'true null ["b", "a", "c"]'),
        (" {{INPUT.n}}", " 3"),
        ("{INPUT.query}", "{INPUT.query}"),
        ("{{ DOC.s }}!", "<b>!"),
        ("{% if INPUT.n > 2 %}y{% elif true %}z{% else %}n{% endif %}", "y"),
        ("{% for t in INPUT.tags %}{{ loop.index }}{{ t }}{% if not loop.last %},{% endif %}"
         "{% endfor %}", "1b,2a,3c"),
        ("{% for t in INPUT.tags if t != 'a' %}{{ t }}{% endfor %}", "bc"),
        ("{% for t in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("{% for doc in [1] %}{{ doc }}{% endfor %}{{ DOC.score }}", "10.75"),
        ("{% set x = 2 %}{{ x * 2 }}", "4"),
        ("a {%- if true -%} b {%- endif -%} c", "abc"),
        ("{# note #}x{{ INPUT.n }}", "x3"),
        ("{% raw %}{{ x }}{% endraw %}{{ INPUT.n }}", "{{ x }}3"),
        ("{{ '}}' }}", "}}"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ('{{ "\\u00e9\\n" }}', "é\n"),
    ],
)  # fmt: skip  # one case a line
def test_renders(source: str, value: Any) -> None:
    rendered = render(source)
    assert rendered == value
    assert type(rendered) is type(value)


def test_a_lone_path_is_shared_not_copied() -> None:
    assert render("{{INPUT.vec}}") is SCOPE["INPUT"]["vec"]
    assert render("{{ INPUT.vec|default([]) }}") is SCOPE["INPUT"]["vec"]


def test_scope_may_spell_namespaces_otherwise() -> None:
    assert render("{{INPUT.q}} {{ doc.a }}", {"inputs": {"q": 1}, "doc": {"a": 2}}) == "1 2"
    assert render("{{INPUT.q}}", {"inputs": {"q": 1}}) == 1


@pytest.mark.parametrize(
    ("source", "name", "offer"),
    [
        ("{{INPUT.qury}}", "INPUT.qury", "query"),
        ("x {{INPUT.qury}}", "INPUT.qury", "query"),
        ("{{ inputs.nested.zz.deep }}", "INPUT.nested.zz", "items"),
        ("{{ INPUT.tags[7] }}", "INPUT.tags[7]", ""),
        ("{{ INPUT.qury == none }}", "INPUT.qury", "query"),
        ("{% if INPUT.qury %}{% endif %}", "INPUT.qury", "query"),
        ("{% for x in nope %}{% endfor %}", "nope", "INPUT"),
        ("{{ STAGE.a.b }}", "STAGE", "INPUT"),
        ("{{ [INPUT.qury] }}", "INPUT.qury", "query"),
        ("{{ 1 if false }}", "if without else", ""),
        ("{{ INPUT.query.__class__ }}", "INPUT.query.__class__", ""),
        ("{{ INPUT.nested.keys }}", "INPUT.nested.keys", "items"),
        ("{{ INPUT.__class__.__mro__|default(INPUT.vec.append) }}", "INPUT.vec.append", ""),
    ],
)
def test_undefined_names_are_told(source: str, name: str, offer: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source)
    assert name in caught.value.message
    assert offer in caught.value.message


def test_errors_never_list_secrets() -> None:
    for source in ("{{SECRET.tokn}}", "{{ secrets.tokn ~ '' }}"):
        with pytest.raises(TemplateError) as caught:
            render(source)
        assert "hidden-value" not in caught.value.message
        assert "other" not in caught.value.message
        assert "SECRET.tokn" in caught.value.message


@pytest.mark.parametrize(
    "source",
    [
        "{{",
        "{{ }}",
        "{{ a",
        "{{ a b }}",
        "{{ a. }}",
        "{{ (a }}",
        "{{ [1, }}",
        "{{ 'a }}",
        "{% if %}x{% endif %}",
        "{% if a %}",
        "{% endif %}",
        "{% for x %}{% endfor %}",
        "{% include 'x' %}",
        "{% macro f() %}{% endmacro %}",
        "{{ a|nope }}",
        "{{ nope() }}",
        "{{ a is nope }}",
        "{{ a ? b }}",
        "{{ $ }}",
        "{% %}",
        "{{ a ? }}",
        "{# x {{ a",
        "{{ lambda: 1 }}",
        "{{ a := 1 }}",
        "{{ a = 1 }}",
        "{% set 1 = 2 %}",
        "{% raw %}",
        '{{ f"x" }}',
        "{{ 1e999 }}",
        "{{ not }}",
        "{{ a[ }}",
        "{{ a[] }}",
        "{{ a.b( }}",
        "{{ 9" + "9" * 5000 + " }}",
    ],
)
def test_malformed_sources_are_refused_with_a_position(source: str) -> None:
    if not is_template(source):
        source = "{{ 1 }}" + source
    with pytest.raises(TemplateError) as caught:
        compile_template(source)
    assert re.match(r"line 1, column \d+: ", caught.value.message)
    assert caught.value.blame == "caller"


def test_positions_count_lines() -> None:
    with pytest.raises(TemplateError, match="line 3, column 4"):
        compile_template("a\nb\n{{ ? }}")


HOSTILE = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{{ range(10**9) }}",
    "{{ range(0, 10**30) }}",
    "{{ range(1, 2, 0) }}",
    "{{ 'x' * 10**9 }}",
    "{{ [1] * 10**9 }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ 2 ** 100000 }}",
    "{{ 1 / 0 }}{{ 1 }}",
    "{{ 1e308 * 10 }}",
    "{{ 0 ** -1 }}",
    "{{ (-8) ** 0.5 }}",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a ~ a ~ a %}" * 20 + "{{ a|length }}",
    "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a|tojson }}",
    "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "{% set a = [1] %}{% set b = [1] %}" + "{% set a = [a, a] %}{% set b = [b, b] %}" * 60
    + "{{ a == b }}",
    "{% set a = [1] %}" + "{% set a = [a] %}" * 2_000 + "{{ a }}",
    "{% set a = 'aaaaaaaaaa' %}{{ a" + "|replace('a', 'aaaaaaaaaa')" * 12 + " }}",
    "{{ 'a'|replace('', 'b') }}",
    "{{ ['aaaa', 'aaaa']" + "|join('aaaaaaaaaaaaaaaaaaaaa')|list" * 12 + " }}",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{{ " + "[" * 5_000 + " }}",
    "{{ " + "1 if 1 else " * 5_000 + "1 }}",
    "{{ " + "true ? 1 : " * 5_000 + "1 }}",
    "{% if 1 %}" * 2_000 + "{% endif %}" * 2_000,
    "{% for i in [1] %}" * 500 + "{% endfor %}" * 500,
    "{{ time_ago(weeks=10**9) }}",
    "{{ time_ago(years=1) }}",
    "{{ round(1.5, 10**9) }}",
    "{{ INPUT.query.format(1) }}",
    "{{ '%1000000000d' % 3 }}",
    "{{ INPUT.clear() }}",
    "{{ INPUT.pop('query') }}",
    "{{ INPUT.vec.append(1) }}",
    "{{ INPUT.query.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ max() }}",
    "{{ max([]) }}",
    "{{ max(1, 'a') }}",
    "{{ INPUT.nested < 3 }}",
    "{{ INPUT.flag + 1 }}",
    "{{ 'a' + 1 }}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for a in 3 %}{% endfor %}",
    "{{ join() }}",
    "{{ 'a'|join|join|join('a', 'b', 'c') }}",
    "{{ 'abc'|int }}",
    "x" * 100_001 + "{{ 1 }}",
]  # fmt: skip  # one source a line


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_templates_end_with_an_error(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source)
    assert len(caught.value.message) < 1_000


@pytest.mark.parametrize(
    "source",
    [
        "{{ 2 ** 64 }}",
        "{{ [2 ** 63 * 2] }}",
        "{{ 99999999999999999999 }}",
        "{{ -18446744073709551615 }}",
        "{{ ceil(1e300) }}",
        "{{ [1e300]|map('ceil') }}",
        "{{ '99999999999999999999'|int }}",
        "{{ [1e308, 1e308]|sum }}",
        r"{{ '\ud83d' }}",
        r"{{ DOC['\ude00\ud83d'] }}",
    ],
)
def test_what_an_answer_could_not_carry_is_never_made(source: str) -> None:
    with pytest.raises(TemplateError, match=r"too large|surrogate"):
        render(source)


def test_the_largest_numbers_and_any_character_can_be_written() -> None:
    assert render("{{ 2 ** 64 - 1 if false else 2 ** 63 }}") == 2**63
    assert render("{{ 18446744073709551615 }}") == 2**64 - 1
    assert render("{{ -9223372036854775808 }}") == -(2**63)
    assert render(r"{{ '\ud83d\ude00 😀 \u00e9' }}") == "😀 😀 é"


def test_long_flat_chains_are_fine() -> None:
    assert render("{{ 1" + " + 1" * 5_000 + " }}") == 5_001
    assert render("{{ " + "-" * 10_000 + "1 }}") == 1
    assert render("{{ " + "not " * 10_000 + "true }}") is True
    assert render("{{ 'a'" + "|upper" * 5_000 + " }}") == "A"
    assert render("{{ 'a'" + " ~ 'a'" * 5_000 + " }}") == "a" * 5_001


def test_variables_are_not_multiplied_by_loops() -> None:
    source = "".join(f"{{% set v{i} = 1 %}}" for i in range(3_000))
    with pytest.raises(TemplateError):
        render(source + "{% for i in range(50000) %}{{ i }}{% endfor %}")


def test_a_small_thread_stack_is_enough() -> None:
    before = threading.stack_size(256 * 1024)
    results: list[Any] = []
    source = "{{ " + "(" * 20 + "1" + ")" * 20 + " }}"
    try:
        thread = threading.Thread(target=lambda: results.append(render(source)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert results == [1]


def test_rendering_changes_no_data() -> None:
    scope = {"INPUT": {"a": [3, 1, 2], "o": {"x": 1}}}
    render("{{ INPUT.a|sort }}{{ INPUT.a|reverse }}{{ INPUT.o.items() }}{{ INPUT.a + [4] }}", scope)
    assert scope == {"INPUT": {"a": [3, 1, 2], "o": {"x": 1}}}


def test_clock_functions_give_iso_times() -> None:
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    now, ago = render("{{ utc_now() }}"), render("{{ time_ago(minutes=5, days=1) }}")
    assert re.fullmatch(pattern, now)
    assert re.fullmatch(pattern, ago)
    assert ago < now


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{inputs.query}}", {"INPUT.query"}),
        ("{{ INPUT['a b'].c ~ DOC.x|default(INDEX) }}", {"INPUT.a b", "DOC.x", "INDEX"}),
        ("{{ INPUT[DOC.key] }}", {"INPUT", "DOC.key"}),
        ("{% for d in INPUT.docs %}{{ d.x }}{{ loop.index }}{% endfor %}", {"INPUT.docs"}),
        ("{{ utc_now() }}", {"utc_now()"}),
        ("{{ INPUT }}", {"INPUT"}),
    ],
)
def test_names(source: str, names: set[str]) -> None:
    assert compile_template(source).names == names


def test_tree_renders_leaves_and_shares_the_rest() -> None:
    static = {"deep": [1, 2, {"x": 1}]}
    tree = compile_tree({"a": "{{INPUT.n}}", "b": static, "c": [1, ["x{{INPUT.n}}", 2], static]})
    assert tree.paths == (("a",), ("c", 1, 0))
    assert tree.names == {"INPUT.n"}
    first, second = tree.render(SCOPE), tree.render({"INPUT": {"n": 4}})
    assert first == {"a": 3, "b": static, "c": [1, ["x3", 2], static]}
    assert second["a"] == 4
    assert second["c"][1] == ["x4", 2]
    assert list(first) == ["a", "b", "c"]
    assert first["b"] is static
    assert first["c"][2] is static
    assert tree.value["a"] == "{{INPUT.n}}"


def test_tree_without_templates_is_the_value_itself() -> None:
    value = {"a": [1, {"b": "{plain}"}]}
    assert compile_tree(value).render({}) is value
    assert compile_tree("{{INPUT.n}}").render(SCOPE) == 3


def test_rendered_braces_are_data_not_templates() -> None:
    scope = {"INPUT": {"q": "{{SECRET.token}}"}, "SECRET": {"token": "t"}}
    assert render_value({"q": "{{INPUT.q}}", "r": "<{{INPUT.q}}>"}, scope) == {
        "q": "{{SECRET.token}}",
        "r": "<{{SECRET.token}}>",
    }


def test_tree_names_every_problem() -> None:
    with pytest.raises(TemplateError) as caught:
        compile_tree({"a": "{{", "b": [{"c": "{{ x| }}"}], "{{k}}": 1, "ok": "{{x}}"}, "params")
    assert [p.path for p in caught.value.problems] == ["params.{{k}}", "params.a", "params.b.0.c"]
    with pytest.raises(TemplateError) as caught:
        compile_tree({"a": "{{INPUT.q1}}", "b": ["{{INPUT.q2}}"], "c": "{{INPUT.n}}"}, "p").render(
            SCOPE
        )
    assert [p.path for p in caught.value.problems] == ["p.a", "p.b.0"]
    assert "INPUT.q2" in caught.value.problems[1].message


def test_a_deep_tree_is_an_error() -> None:
    value: Any = "{{INPUT.n}}"
    for _ in range(3_000):
        value = [value]
    with pytest.raises(TemplateError):
        compile_tree(value)


FRAGMENTS = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "if ",
        "for ",
        "in ",
        "else",
        "endif",
        "endfor",
        "set ",
        "x",
        "INPUT",
        ".",
        "tags",
        "[",
        "]",
        "(",
        ")",
        "|",
        "default",
        "join",
        "'",
        '"',
        "\\",
        "1",
        "-",
        "?",
        ":",
        ",",
        "~",
        " ",
        "\n",
        "not ",
        "is ",
        "defined",
        "é",
        "{",
        "}",
        "raw",
        "range",
        "**",
        "=",
        "loop",
    ]
)


@settings(derandomize=True, deadline=None, max_examples=1_500)
@given(st.lists(FRAGMENTS, max_size=25).map("".join))
def test_any_source_renders_or_raises_a_template_error(source: str) -> None:
    try:
        render("{{ " + source)
        render(source)
    except TemplateError as error:
        assert error.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(JSON)
def test_every_path_to_a_value_gives_that_value(value: Any) -> None:
    scope = {"INPUT": {"v": value}}
    for source in (
        "{{INPUT.v}}",
        "{{ (inputs.v) }}",
        "{{ input.v|default(0) }}",
        "{{[INPUT.v][0]}}",
    ):
        assert render(source, scope) is value
