"""Policies and rules as YAML files, for those who keep them in git.

    policies:
      - name: Refunds
        timeout: 1d
        stages:
          - name: Finance
            need: 2 of group finance
            remind: [1h, 15m before deadline]
            escalate:
              - {after: 4h, to: person deputy@example.com}
          - name: CFO
            when: data.amount > 10000
            need: person cfo@example.com
            on_timeout: reject
    rules:
      - name: Small refunds
        when: data.amount < 50
        then: approve
        until: 2027-01-01T00:00:00Z
        budget: {count: 20, per: 1d}

A file may also hold a single policy, without the list. The keys are those of `format` and `rules`,
written with underscores; durations are texts like `1h 30m`. People and counts have a short form
(`2 of group finance`, `all of role manager`, `one of people ann@example.com, bob@example.com`) and
the long one of the format (`{users: […], count: 2, label: …}`, `{all_of: […]}`).

The reader is strict: no key it does not know, none twice, no tags, anchors or aliases; yes, no, on,
off and 22:00 are texts. What it writes it reads back as the same.
"""

from workflows.policies.yaml_io.reading import Document, loads
from workflows.policies.yaml_io.writing import dumps

__all__ = ["Document", "dumps", "loads"]
