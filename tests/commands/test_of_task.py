"""Flags of commands whose parts are those of tasks."""

import argparse

from gluon_tricks.commands import of_task, predict


def test_a_flag_is_described_under_all_tasks_that_have_it():
    parser = argparse.ArgumentParser()
    of_task.add_arguments(parser, predict.PARTS)
    titles = {
        action.dest: group.title
        for group in parser._action_groups
        for action in group._group_actions
    }
    assert titles["top"] == "of models for classification or segmentation"
    assert titles["output"] == "of models for segmentation or detection"
    assert titles["sheet"] == "of models for classification"
    assert titles["score"] == "of models for detection"


def test_what_is_not_given_is_told_from_the_defaults_of_a_task():
    parser = argparse.ArgumentParser()
    of_task.add_arguments(parser, predict.PARTS)
    args = parser.parse_args([])
    assert not hasattr(args, "top") and not hasattr(args, "output")
    usual = args.defaults_of_tasks
    assert usual["segmentation"]["top"] == 5 and "top" not in usual["detection"]
    assert usual["detection"]["output"] is None and "sheet" not in usual["detection"]
