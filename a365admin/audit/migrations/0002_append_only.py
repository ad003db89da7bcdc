"""Triggers that keep the log append-only, and the row that holds the chain's end."""

from django.db import migrations

from a365admin.audit import triggers
from a365admin.audit.chain import GENESIS


def make_append_only(apps, schema_editor):
    apps.get_model("audit", "ChainHead").objects.using(schema_editor.connection.alias).get_or_create(
        pk=1, defaults={"last_hash": GENESIS}
    )
    triggers.install(schema_editor.connection)


def make_changeable(apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(make_append_only, make_changeable)]
