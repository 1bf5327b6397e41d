"""The operator's lists of allowed sources and destinations: schemes with hosts, buckets, owners or model names."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

SCHEMES = ("https", "http", "s3", "hf", "mlflow")
_RULE = re.compile(rf"({'|'.join(SCHEMES)}):/{{1,2}}([^/\s]+)")
_PATTERN = re.compile(r"[*?\[]")
ACCEPTED = "https://host, http://host, s3://bucket, hf://owner, mlflow:/name; all but http take patterns such as *.org"


@dataclass(frozen=True)
class Rule:
    """A scheme, and the name or the pattern of the places that it allows there, in lower case."""

    scheme: str
    place: str

    def __str__(self) -> str:
        return f"{self.scheme}:/{self.place}" if self.scheme == "mlflow" else f"{self.scheme}://{self.place}"


@dataclass(frozen=True)
class Rules:
    """A list of rules; nothing else is allowed."""

    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.rules)) or "none, until the operator allows some"

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that have a rule, in the order of `SCHEMES`."""
        return tuple(scheme for scheme in SCHEMES if any(rule.scheme == scheme for rule in self.rules))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts and patterns that may be called by URL, as `jobs.remote.addresses` takes them."""
        return tuple(rule.place for rule in self.rules if rule.scheme in ("https", "http"))

    def allow(self, scheme: str, place: str) -> bool:
        """Return True if a rule allows this place: a host, a bucket, an owner or the name of a registered model."""
        return any(rule.scheme == scheme and fnmatchcase(place.lower(), rule.place) for rule in self.rules)


def parse_rules(text: str) -> Rules:
    """Return the rules of a list that is separated by commas.

    Raises:
        ValueError: an entry is no rule.
    """
    rules = []
    for entry in filter(None, map(str.strip, text.split(","))):
        match = _RULE.fullmatch(entry)
        if match is None or (match[1] == "http" and _PATTERN.search(match[2])):
            raise ValueError(f"{entry!r} is no rule; accepted: {ACCEPTED}")
        rules.append(Rule(match[1], match[2].lower()))
    return Rules(tuple(rules))
