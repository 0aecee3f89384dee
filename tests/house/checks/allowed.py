"""The exceptions to the house style, each with its reason; one nobody needs is reported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowed:
    "One violation that is let stand."

    check: str  # name of the check, as in `CHECKS`
    file: str  # start of the violation's place
    found: str  # part of what it found
    reason: str  # why the rule bends here


ALLOWED = (
    Allowed(
        "documented_names",
        "mlops_lab/foundation/errors.py",
        "LabError.__init__ with 3 positional parameters",
        "found, expected, remedy always come in this order and every raise would repeat the names",
    ),
    Allowed(
        "page_sizes",
        "mlops_lab/foundation/errors.py",
        "11 public names",
        "the whole error family stands in one place, so that its tree can be seen at once",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/stage.py",
        "begin_stage takes **parameters",
        "each stage hands over parameters of its own by name; the stage check compares the names",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/stage.py",
        "Stage.finish with 6 parameters",
        "each is named in the last cell of a stage notebook; a value around them would say less",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/engine.py",
        "LabEngine.execute_notebook",
        "Papermill calls this method with a signature of its own",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/engine.py",
        "LabEngine.execute_managed_notebook",
        "Papermill calls this method with a signature of its own",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/engine_door.py",
        "EngineDoor.execute_notebook",
        "Papermill calls this method with a signature of its own",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/execution.py",
        "Bookkeeping.",
        "Papermill calls these methods with keywords of its own",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/pipeline/cache_key.py",
        "key_parts with 6 parameters",
        "each part of a key is named where it is handed over; none may be forgotten",
    ),
    Allowed(
        "errors_used",
        "mlops_lab/pipeline/execution.py",
        "error class Ended",
        "it only carries an outcome out of a kernel's context; nobody outside the engine sees it",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/command_line/commands.py",
        "run takes **asked",
        "click hands over the options of this command by name; RunRequest names each",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/command_line/approval_commands.py",
        "approve takes **said",
        "click hands over the options of this command by name; Answer names each",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/command_line/commands.py",
        "explain takes **asked",
        "click hands over the options of this command by name; RunRequest names each",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/command_line/search_commands.py",
        "search takes **asked",
        "click hands over the options of this command by name; _make_plan names each",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/command_line/canary_commands.py",
        "start takes **asked",
        "click hands over the options of this command by name; CanaryWish names each",
    ),
    Allowed(
        "quiet_import",
        "mlops_lab/pipeline/engine.py",
        "opens a socket (in urllib3.util.connection)",
        "Papermill imports urllib3, which asks for IPv6; our engine derives from Papermill's class",
    ),
    Allowed(
        "errors_used",
        "mlops_lab/serving/refusals.py",
        "error class Refusal outside foundation.errors",
        "a refusal carries an HTTP status, which only serving knows; it is a ServiceProblem",
    ),
    Allowed(
        "documented_names",
        "mlops_lab/serving/service.py",
        "create_app with 3 positional parameters",
        "the signature is a contract of the design: settings, model_source, score_store",
    ),
)
