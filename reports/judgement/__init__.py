"""The judgement: records in, verdicts out, by named and versioned sets of allowed reactions."""

from reports.judgement.judge import CaseJudgement, Grade, judge_case, judge_record, more_needed, problem
from reports.judgement.reactions import Reaction, reactions_of
from reports.judgement.records import (
    CheckRecord,
    ErrorRecord,
    ExpectRecord,
    InformationalRecord,
    Json,
    Level,
    NoteRecord,
    Record,
    RecordError,
    SanityRecord,
    TwinRecord,
    UnsupportedRecord,
    from_json,
    to_json,
)
from reports.judgement.sets import Clause, ReactionSet, SetError, all_sets, reaction_set

__all__ = [
    "CaseJudgement",
    "CheckRecord",
    "Clause",
    "ErrorRecord",
    "ExpectRecord",
    "Grade",
    "InformationalRecord",
    "Json",
    "Level",
    "NoteRecord",
    "Reaction",
    "ReactionSet",
    "Record",
    "RecordError",
    "SanityRecord",
    "SetError",
    "TwinRecord",
    "UnsupportedRecord",
    "all_sets",
    "from_json",
    "judge_case",
    "judge_record",
    "more_needed",
    "problem",
    "reaction_set",
    "reactions_of",
    "to_json",
]
