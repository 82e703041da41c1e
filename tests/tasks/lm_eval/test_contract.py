"""What saltus relies on inside lm-eval, so that a new version that moves it fails here and not at a user's."""

import inspect

from lm_eval.tasks import _yaml_loader


def test_functions_of_task_files_are_imported_through_one_function_by_name_and_file():
    parameters = inspect.signature(_yaml_loader._import_func_in_yml).parameters
    assert len(parameters) == 2, "the qualified name and the task file"
    source = inspect.getsource(_yaml_loader)
    assert source.count("_import_func_in_yml(") >= 2, "defined, and called by its name in the module"
