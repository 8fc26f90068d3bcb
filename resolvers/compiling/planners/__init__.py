"""The planners: functions that make the SQL of a field from its arguments and selection.

`expressions` plans columns and joins; the other modules plan root fields, pages, filters, the
event log, statistics and the payloads of mutations.
"""
