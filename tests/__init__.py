"""The tests mirror `src/serin`. Names are sentences: one behaviour each."""

import pytest

pytest.register_assert_rewrite("tests.objects_contract")
