"""GET, POST and DELETE /v1/subscriptions, and POST /v1/subscriptions/{id}/test."""

import logging
from dataclasses import replace

from fastapi import APIRouter, Request, Response, status
from sqlalchemy import Connection

from service.alerts.encryption import Encryption, KeyFileError
from service.alerts.outbox import Instants, queue_test
from service.alerts.subscriptions import (
    Added,
    NewSubscription,
    SubscriptionError,
    add_subscription,
    find_subscription,
    remove_subscription,
)
from service.alerts.subscriptions import read_subscriptions as all_subscriptions
from service.alerts.targets.addresses import AddressRule, RefusedAddress, UnknownHost
from service.alerts.targets.parse import BadTarget, Target, parse_target
from service.api.access.require import AdminAccess, RunAccess
from service.api.common.dependencies import Reader, ReaderDependency
from service.api.common.errors import BadParameter, Conflict, request_id
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, Id, Limit
from service.api.common.schemas import problems
from service.api.subscriptions.queries import (
    SubscriptionRow,
    read_delivery_figures,
    read_subscription,
    read_subscriptions,
)
from service.api.subscriptions.schemas import (
    QueuedMessage,
    SubscriptionBody,
    SubscriptionCreated,
    SubscriptionItem,
    SubscriptionPage,
)
from service.audit import AuditEntry, record
from service.errors import NotFound, NotYet
from service.market.symbol_names import normalize_symbols
from service.run_requests.answers import lock_requests
from service.vocabulary import AlertKind, AlertScope

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])

_KIND = "subscriptions"
_log = logging.getLogger(__name__)


@router.get("", summary="Alert subscriptions", responses=problems(404))
def list_subscriptions(reader: ReaderDependency, cursor: Cursor = None, limit: Limit = 100) -> SubscriptionPage:
    """Alert subscriptions, newest first, with the counts of their deliveries; targets and secrets are never shown."""
    keys = decode(_KIND, cursor, int)
    with reader.snapshot() as snapshot:
        rows = read_subscriptions(snapshot.connection, None if keys is None else int(str(keys[0])), limit + 1)
        page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.id,))
        figures = read_delivery_figures(snapshot.connection, [row.id for row in page_rows])
    items = [SubscriptionItem.model_validate({**row._asdict(), **figures[row.id]}) for row in page_rows]
    return SubscriptionPage(items=items, next_cursor=next_cursor)


@router.get("/{id}", summary="One alert subscription", responses=problems(404))
def get_subscription(reader: ReaderDependency, id: Id) -> SubscriptionItem:
    """One alert subscription with the counts of its deliveries."""
    with reader.snapshot() as snapshot:
        row = read_subscription(snapshot.connection, id)
        figures = read_delivery_figures(snapshot.connection, [id])
    return SubscriptionItem.model_validate({**row._asdict(), **figures[id]})


@router.post("", summary="Add an alert subscription", status_code=status.HTTP_201_CREATED, responses=problems(400, 409))
def create_subscription(
    reader: ReaderDependency, principal: AdminAccess, body: SubscriptionBody, request: Request, response: Response
) -> SubscriptionCreated:
    """Add an alert subscription; the answer has the secret that verifies its webhooks, this once.

    A request that is repeated because its answer was lost adds none: it gets 409 with the number of the first.
    """
    new = _new_subscription(body, _checked_target(reader, body.target))
    with reader.writing() as writing:
        if body.symbol is not None:
            new = replace(new, scope=normalize_symbols(writing.connection, [body.symbol])[0])
        _refuse_repeated(writing.connection, new)
        try:
            added = add_subscription(
                writing.connection, new, Encryption(reader.settings.alert_key_path), principal.name, writing.machine_now
            )
        except SubscriptionError as error:
            raise BadParameter("kinds", str(error), is_whole=True) from error
        except NotFound as error:
            raise BadParameter(str(new.scope_kind), str(error), is_whole=True) from error
        except KeyFileError as error:
            _log.error("request %s: %s", request_id(request), error)
            raise NotYet(
                "targets cannot be encrypted: the service has no usable key file; its log has details"
            ) from error
        subject = f"subscription {added.subscription.id}"
        detail = {"name": new.name, "kinds": list(new.kinds), "target": new.target.shown}
        entry = AuditEntry("alerts.add", subject, detail, principal.name, request_id(request))
        record(writing.connection, entry, writing.machine_now)
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/subscriptions/{added.subscription.id}"
    return _created(added)


@router.delete(
    "/{id}", summary="Remove an alert subscription", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404)
)
def delete_subscription(reader: ReaderDependency, principal: AdminAccess, id: Id, request: Request) -> None:
    """Remove an alert subscription: its target is deleted, its pending deliveries are dropped."""
    with reader.writing() as writing:
        read_subscription(writing.connection, id)
        removed = remove_subscription(writing.connection, id, writing.machine_now)
        detail = {"name": removed.name, "target": removed.target_shown}
        entry = AuditEntry("alerts.remove", f"subscription {id}", detail, principal.name, request_id(request))
        record(writing.connection, entry, writing.machine_now)


@router.post("/{id}/test", summary="Send a test alert", status_code=status.HTTP_202_ACCEPTED, responses=problems(404))
def send_test_alert(reader: ReaderDependency, principal: RunAccess, id: Id, request: Request) -> QueuedMessage:
    """Put a test message into the outbox of a subscription; the scheduler delivers it like every other."""
    with reader.writing() as writing:
        read_subscription(writing.connection, id)
        subscription = find_subscription(writing.connection, id)
        at = Instants(writing.market_now, writing.machine_now)
        message_id = queue_test(writing.connection, subscription, at)
        entry = AuditEntry(
            "alerts.test", f"subscription {id}", {"message_id": message_id}, principal.name, request_id(request)
        )
        record(writing.connection, entry, writing.machine_now)
    return QueuedMessage(message_id=message_id, state="pending")


def _checked_target(reader: Reader, text: str) -> Target:
    """Return the target; names are resolved with no transaction open.

    Raises:
        BadParameter: it is not accepted.
    """
    try:
        return parse_target(text, AddressRule(reader.settings.alert_loopback_http))
    except (BadTarget, RefusedAddress, UnknownHost) as error:
        raise BadParameter("target", str(error), is_whole=True) from error


def _new_subscription(body: SubscriptionBody, target: Target) -> NewSubscription:
    if body.symbol is not None and body.group is not None:
        raise BadParameter("symbol", "is given together with group; give one of them, or neither for all")
    kind, scope = AlertScope.ALL, None
    if body.symbol is not None:
        kind, scope = AlertScope.SYMBOL, body.symbol
    elif body.group is not None:
        kind, scope = AlertScope.GROUP, body.group
    return NewSubscription(body.name, tuple(AlertKind(each) for each in body.kinds), kind, scope, body.interval, target)


def _refuse_repeated(connection: Connection, new: NewSubscription) -> None:
    """Raise for a subscription that differs from a present one in nothing that is shown.

    The answer has a secret, so it cannot be stored and repeated as that of a run request.

    Raises:
        Conflict: there is one.
    """
    lock_requests(connection)
    for each in all_subscriptions(connection):
        shown = (each.name, set(each.kinds), each.scope_kind, each.scope, each.interval, each.target_shown)
        if shown == (new.name, set(new.kinds), new.scope_kind, new.scope, new.interval, new.target.shown):
            raise Conflict(
                f"subscription {each.id} has the same name, kinds, scope, interval and address; "
                "remove it to get a new secret, or choose another name"
            )


def _created(added: Added) -> SubscriptionCreated:
    values = {name: getattr(added.subscription, name) for name in SubscriptionRow._fields}
    figures = {"pending": 0, "delivered": 0, "dead": 0, "last_error": None}
    return SubscriptionCreated.model_validate({**values, **figures, "secret": added.secret})
