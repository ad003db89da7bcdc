"""Tests of break-glass."""
