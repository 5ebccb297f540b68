"""The books of restored backups, and the function by which a database knows where it stands."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

import hitl.lib.models
from events import postgres


def define(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(postgres.IDENTITY_FUNCTION, params=None)


def forget(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP FUNCTION hitl_identity()")


class Migration(migrations.Migration):

    dependencies = [
        ('events', '0007_refusals'),
        ('workflows', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DatabaseHome',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('identity', models.CharField(max_length=200)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_database_home')],
            },
        ),
        migrations.CreateModel(
            name='Restore',
            fields=[
                ('id', models.UUIDField(default=hitl.lib.models.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(editable=False)),
                ('why', models.TextField()),
                ('evidence', models.CharField(blank=True, max_length=500)),
                ('newest_event', models.PositiveBigIntegerField()),
                ('is_open', models.BooleanField(default=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('note', models.TextField(blank=True)),
                ('ended_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='Confirmation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('outcome', models.CharField(choices=[('executed', 'Was executed'), ('not_executed', 'Was not executed'), ('as_recorded', 'Is as the database has it')], max_length=12)),
                ('reason', models.CharField(max_length=1000)),
                ('confirmed_at', models.DateTimeField()),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workflow', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='workflows.workflow')),
                ('restore', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='confirmations', to='events.restore')),
            ],
            options={
                'ordering': ('pk',),
            },
        ),
        migrations.AddConstraint(
            model_name='restore',
            constraint=models.UniqueConstraint(condition=models.Q(('is_open', True)), fields=('is_open',), name='one_open_restore'),
        ),
        migrations.AddConstraint(
            model_name='restore',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('is_open', True)), models.Q(('ended_at__isnull', False), ('is_open', False)), _connector='OR'), name='ended_restore_has_a_time'),
        ),
        migrations.AddConstraint(
            model_name='confirmation',
            constraint=models.UniqueConstraint(fields=('restore', 'workflow'), name='one_confirmation_per_restore'),
        ),
        migrations.RunPython(define, forget),
    ]
