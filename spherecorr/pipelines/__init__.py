"""Whole tasks from files to files, as library functions: what the commands, the app and notebooks call.

They take plain arguments and settings, report progress to a callback, return results and print nothing.
"""
