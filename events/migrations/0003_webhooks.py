"""Endpoints that hear of events, their secrets, messages and attempts."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import hitl.lib.models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('events', '0002_append_only'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=hitl.lib.models.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('url', models.CharField(max_length=2048)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('events', models.JSONField(blank=True, default=list)),
                ('body_format', models.CharField(choices=[('standard', 'Standard Webhooks'), ('cloudevents', 'CloudEvents 1.0')], default='standard', max_length=12)),
                ('is_active', models.BooleanField(default=True)),
                ('disabled_reason', models.CharField(blank=True, choices=[('by_hand', 'Switched off by hand'), ('gone', 'It answered 410 Gone'), ('failing', 'Nothing but failures for too long')], max_length=10)),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('first_failure_at', models.DateTimeField(blank=True, null=True)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('rests_until', models.DateTimeField(blank=True, null=True)),
                ('notice_due_at', models.DateTimeField(blank=True, null=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team')),
            ],
            options={
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='WebhookMessage',
            fields=[
                ('id', models.UUIDField(default=hitl.lib.models.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('type', models.CharField(max_length=40)),
                ('body', models.TextField()),
                ('body_format', models.CharField(choices=[('standard', 'Standard Webhooks'), ('cloudevents', 'CloudEvents 1.0')], max_length=12)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='pending', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('scheduled_from', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=500)),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='events.webhookendpoint')),
                ('event', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='events.event')),
                ('team', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team')),
            ],
            options={
                'ordering': ('-created_at', '-pk'),
            },
        ),
        migrations.CreateModel(
            name='WebhookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('url', models.CharField(max_length=2048)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('status_code', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('answer', models.TextField(blank=True)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tries_made', to='events.webhookmessage')),
            ],
            options={
                'ordering': ('number',),
            },
        ),
        migrations.CreateModel(
            name='WebhookSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField()),
                ('public_key', models.CharField(blank=True, max_length=60)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='secrets', to='events.webhookendpoint')),
            ],
            options={
                'ordering': ('-pk',),
            },
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(condition=models.Q(('is_active', True)), fields=['team'], name='webhook_endpoint_active'),
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(condition=models.Q(('notice_due_at__isnull', False)), fields=['notice_due_at'], name='webhook_notice_due'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disabled_reason', ''), ('is_active', True)), models.Q(('is_active', False), models.Q(('disabled_reason', ''), _negated=True)), _connector='OR'), name='webhook_endpoint_off_has_a_reason'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['endpoint', 'next_attempt_at'], name='webhook_due'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(condition=models.Q(('claimed_at__isnull', False)), fields=['endpoint', 'claimed_at'], name='webhook_in_flight'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(fields=['endpoint', 'created_at', 'id'], name='webhook_log'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(fields=['created_at'], name='webhook_age'),
        ),
        migrations.AddConstraint(
            model_name='webhookmessage',
            constraint=models.UniqueConstraint(fields=('endpoint', 'event'), name='one_webhook_message_per_event'),
        ),
        migrations.AddConstraint(
            model_name='webhookmessage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'pending'), _negated=True), ('next_attempt_at__isnull', False), _connector='OR'), name='pending_webhook_has_a_due_time'),
        ),
        migrations.AddConstraint(
            model_name='webhookattempt',
            constraint=models.UniqueConstraint(fields=('message', 'number'), name='webhook_attempt_number'),
        ),
        migrations.AddConstraint(
            model_name='webhooksecret',
            constraint=models.UniqueConstraint(condition=models.Q(('expires_at__isnull', True)), fields=('endpoint',), name='one_current_webhook_secret'),
        ),
    ]
