"""The JSON doors of users and brokerage accounts."""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.models import BrokerageAccount
from accounts.requests import user_of
from accounts.selectors import account_for_user, accounts_of
from accounts.serializers import (
    AccountChangeSerializer,
    AccountConnectSerializer,
    AccountKeySerializer,
    AccountSerializer,
    KeyCheckSerializer,
    LoginSerializer,
    RefreshSerializer,
    RegisterSerializer,
    TokenPairSerializer,
    UserSerializer,
)
from accounts.services.accounts import (
    account_change,
    account_resume,
    account_stop,
)
from accounts.services.connections import (
    account_connect,
    account_disconnect,
    account_reconnect,
    account_test,
)
from accounts.services.limits import Caps, account_limits_change
from accounts.services.logins import login_check
from accounts.services.tries import LOGINS
from accounts.services.users import user_register
from accounts.tokens import TokenPair, tokens_issue, tokens_revoke, tokens_rotate
from speedtrade.lib.api import StrictJSONParser, problems
from speedtrade.lib.ratelimit import limit_address


def _valid(kind: type[Serializer[Any]], data: Any) -> dict[str, Any]:
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    checked: dict[str, Any] = serializer.validated_data
    return checked


def _tokens(pair: TokenPair) -> Response:
    return Response(asdict(pair))


class _Public(APIView):
    """Doors for who is nobody yet: an old Authorization header is not even read."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class RegisterView(_Public):
    @extend_schema(
        operation_id="auth_register",
        request=RegisterSerializer,
        responses={201: UserSerializer} | problems(400, 429),
    )
    def post(self, request: Request) -> Response:
        """Register. The new user has a default paper account with paper cash."""
        limit_address(request._request, "register", settings.RATE_REGISTER_PER_ADDRESS)
        user = user_register(**_valid(RegisterSerializer, request.data), now=timezone.now())
        return Response(UserSerializer(user).data, status=201)


class LoginView(_Public):
    parser_classes = (StrictJSONParser, FormParser)

    @extend_schema(
        operation_id="auth_login",
        request={
            "application/json": LoginSerializer,
            "application/x-www-form-urlencoded": LoginSerializer,
        },
        responses={200: TokenPairSerializer} | problems(400, 401, 429),
    )
    def post(self, request: Request) -> Response:
        """Log in with name or e-mail and password, as JSON or as a form.

        Who has a second factor sends `otp` as well; without it the answer is 401 `mfa_required`.
        """
        limit_address(request._request, LOGINS, settings.RATE_LOGIN_PER_ADDRESS)
        given, now = _valid(LoginSerializer, request.data), timezone.now()
        user = login_check(**given, door="api", request=request._request, now=now)
        return _tokens(tokens_issue(user=user, now=now))


class RefreshView(_Public):
    @extend_schema(
        operation_id="auth_refresh",
        request=RefreshSerializer,
        responses={200: TokenPairSerializer} | problems(400, 401, 429),
    )
    def post(self, request: Request) -> Response:
        """Trade a refresh token for a new pair. Each works once; a second use ends the log-in."""
        given = _valid(RefreshSerializer, request.data)
        return _tokens(tokens_rotate(**given, now=timezone.now()))


class LogoutView(_Public):
    @extend_schema(
        operation_id="auth_logout",
        request=RefreshSerializer,
        responses={204: None} | problems(400, 401, 429),
    )
    def post(self, request: Request) -> Response:
        """End the log-in that this refresh token belongs to, its access tokens included."""
        tokens_revoke(**_valid(RefreshSerializer, request.data), now=timezone.now())
        return Response(status=204)


def _account(request: Request, account_id: int) -> BrokerageAccount:
    return account_for_user(user=user_of(request), account_id=account_id)


class MeView(APIView):
    @extend_schema(operation_id="auth_me", responses={200: UserSerializer} | problems(401))
    def get(self, request: Request) -> Response:
        """Who the token belongs to."""
        return Response(UserSerializer(user_of(request)).data)


class AccountsView(APIView):
    @extend_schema(
        operation_id="accounts_list",
        responses={200: AccountSerializer(many=True)} | problems(401),
    )
    def get(self, request: Request) -> Response:
        """Your brokerage accounts, the default one first."""
        return Response(AccountSerializer(accounts_of(user_of(request)), many=True).data)

    @extend_schema(
        operation_id="accounts_connect",
        request=AccountConnectSerializer,
        responses={201: AccountSerializer} | problems(400, 401, 403, 422, 429),
    )
    def post(self, request: Request) -> Response:
        """Connect an account at a broker: it is `connecting`, then `active` or in `error`."""
        given = AccountConnectSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        account = account_connect(user=user_of(request), now=timezone.now(), **given.wish())
        return Response(AccountSerializer(account).data, status=201)


class AccountView(APIView):
    @extend_schema(
        operation_id="accounts_get", responses={200: AccountSerializer} | problems(401, 404)
    )
    def get(self, request: Request, account_id: int) -> Response:
        """One of your accounts."""
        return Response(AccountSerializer(_account(request, account_id)).data)

    @extend_schema(
        operation_id="accounts_change",
        request=AccountChangeSerializer,
        responses={200: AccountSerializer} | problems(400, 401, 404, 409),
    )
    def patch(self, request: Request, account_id: int) -> Response:
        """Name an account, limit it or make it the default. Raising a limit takes the password."""
        account = _account(request, account_id)
        given = _valid(AccountChangeSerializer, request.data)
        password = given.pop("password")
        caps: Caps = {name: given.pop(name) for name in ("order_cap", "day_cap") if name in given}
        with transaction.atomic():
            if caps:
                account_limits_change(
                    account=account,
                    caps=caps,
                    password=password,
                    actor=user_of(request),
                    now=timezone.now(),
                )
            account = account_change(account=account, **given)
        return Response(AccountSerializer(account).data)

    @extend_schema(
        operation_id="accounts_disconnect", responses={204: None} | problems(401, 404, 409)
    )
    def delete(self, request: Request, account_id: int) -> Response:
        """Disconnect an account: its key is forgotten. 409 with open orders, or on paper."""
        account_disconnect(
            account=_account(request, account_id), actor=user_of(request), now=timezone.now()
        )
        return Response(status=204)


class AccountKeyView(APIView):
    @extend_schema(
        operation_id="accounts_rekey",
        request=AccountKeySerializer,
        responses={200: AccountSerializer} | problems(400, 401, 403, 404, 409, 422, 429),
    )
    def put(self, request: Request, account_id: int) -> Response:
        """A new key for the same account at the broker; it connects anew."""
        account = _account(request, account_id)
        given = AccountKeySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        account = account_reconnect(
            account=account, key=given.key(), actor=user_of(request), now=timezone.now()
        )
        return Response(AccountSerializer(account).data)


class AccountTestView(APIView):
    @extend_schema(
        operation_id="accounts_test",
        request=None,
        responses={200: KeyCheckSerializer} | problems(401, 404, 409, 422, 429, 503),
    )
    def post(self, request: Request, account_id: int) -> Response:
        """Ask the broker what the key of this account may do."""
        account = _account(request, account_id)
        return Response({"detail": account_test(account=account, actor=user_of(request))})


class AccountStopView(APIView):
    @extend_schema(
        operation_id="accounts_stop",
        request=None,
        responses={200: AccountSerializer} | problems(401, 404),
    )
    def post(self, request: Request, account_id: int) -> Response:
        """Your own switch: no new orders in this account until you resume it. Cancels work."""
        account = _account(request, account_id)
        account = account_stop(account=account, actor=user_of(request), now=timezone.now())
        return Response(AccountSerializer(account).data)


class AccountResumeView(APIView):
    @extend_schema(
        operation_id="accounts_resume",
        request=None,
        responses={200: AccountSerializer} | problems(401, 404),
    )
    def post(self, request: Request, account_id: int) -> Response:
        """Lift your own switch."""
        account = _account(request, account_id)
        account = account_resume(account=account, actor=user_of(request), now=timezone.now())
        return Response(AccountSerializer(account).data)
