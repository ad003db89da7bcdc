"""A server's maintenance moves from its own row to a row of its own; one without an end gets a week."""

from datetime import timedelta

from django.db import migrations
from django.utils import timezone


def move(apps, schema_editor):
    now = timezone.now()
    for server in apps.get_model("pools", "Server").objects.filter(admin_state="maintenance"):
        ends_at = server.maintenance_until or now + timedelta(days=7)
        if ends_at > now:
            apps.get_model("pools", "Maintenance").objects.create(
                server=server, reason=server.maintenance_reason or "No reason was given.", starts_at=now,
                ends_at=ends_at, by_name="system", began=True,
            )


class Migration(migrations.Migration):

    dependencies = [
        ('pools', '0004_maintenance'),
    ]

    operations = [
        migrations.RunPython(move, migrations.RunPython.noop),
        migrations.RemoveConstraint(
            model_name='server',
            name='server_admin_state_known',
        ),
        migrations.RemoveField(
            model_name='server',
            name='admin_state',
        ),
        migrations.RemoveField(
            model_name='server',
            name='maintenance_reason',
        ),
        migrations.RemoveField(
            model_name='server',
            name='maintenance_until',
        ),
    ]
