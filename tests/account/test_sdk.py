"""Twilio's official Python SDK drives the simulator; every request and answer is validated against Twilio's OpenAPI."""

import json
import unittest
import urllib.parse

import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.account.validate import Report
from tests.harness.simulator import Recorded
from tests.harness.wait import LIMIT

NUMBER = "+15035550100"
CALLED = "+15035551212"
MEXICAN = "+525512345678"
PASSWORD = "Correct7Horse"
SOUND = b"RIFF\0\xff\r\n--sound"
US_ADDRESS = {"customer_name": "Ada", "street": "1 SW Main St", "city": "Portland", "region": "OR",
              "postal_code": "97204", "iso_country": "US"}


class ToSimulator(TwilioHttpClient):
    """Sends every request to the simulator, whatever product's host it names."""

    def __init__(self, address):
        super().__init__(timeout=LIMIT)
        self.address = urllib.parse.urlsplit(address)
        # Not through a proxy of the environment.
        self.session.trust_env = False

    def request(self, method, url, *args, **kwargs):
        url = urllib.parse.urlsplit(url)._replace(scheme=self.address.scheme, netloc=self.address.netloc)
        return super().request(method, url.geturl(), *args, **kwargs)


class WithSdk(unittest.TestCase):
    """A fresh simulator for each test; what went over the wire is validated when it ends."""

    options = ()

    def setUp(self):
        name = self.id().rsplit(".", 1)[1]
        self.simulator = Recorded(name, *self.options)
        self.addCleanup(self.validate)
        self.addCleanup(self.simulator.stop)
        self.client = self.client_of(self.simulator.account, self.simulator.token)

    def client_of(self, username, password):
        return Client(username, password, account_sid=self.simulator.account,
                      http_client=ToSimulator(self.simulator.addresses["rest"]))

    def validate(self):
        report = Report().read(self.simulator.recording)
        self.assertGreater(report.answers.total(), 0, "a test without traffic shows nothing")
        self.assertEqual(report.violations, [], f"\n{report}")

    def refused(self, status, code, call, *args, **kwargs):
        """The call is refused with that HTTP status and that code of Twilio's."""
        with self.assertRaises(TwilioRestException) as caught:
            call(*args, **kwargs)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code), caught.exception.msg)

    def paged(self, resource, expected, **filters):
        """All SIDs of a list, read in pages of one and of two."""
        for size in (1, 2):
            self.assertEqual([each.sid for each in resource.list(page_size=size, **filters)], expected)


class Sip(WithSdk):
    def test_domains_are_created_listed_paged_updated_and_deleted(self):
        domains = self.client.sip.domains
        made = [domains.create(domain_name=f"gw-{name}.sip.twilio.com", friendly_name=name, sip_registration=True,
                               secure=True, voice_url="https://example.com/voice") for name in ("dev", "stage", "prod")]
        self.paged(domains, [domain.sid for domain in made])
        self.assertTrue(made[0].secure)
        self.assertEqual(made[0].auth_type, "")
        changed = made[0].update(voice_url="https://example.com/other", voice_method="GET", secure=False)
        self.assertEqual(changed.voice_url, "https://example.com/other")
        self.assertEqual(domains(made[0].sid).fetch().voice_method, "GET")
        cleared = made[0].update(voice_url="", voice_status_callback_url="")
        self.assertFalse(cleared.voice_url)
        self.refused(400, 21232, domains.create, domain_name="gw-prod.sip.twilio.com")
        self.refused(400, 21402, made[1].update, voice_url="nowhere")
        self.assertTrue(made[2].delete())
        self.refused(404, 20404, made[2].fetch)
        self.paged(domains, [domain.sid for domain in made[:2]])

    def test_credentials_are_created_listed_paged_updated_and_deleted(self):
        lists = self.client.sip.credential_lists
        made = [lists.create(friendly_name=name) for name in ("dev", "stage")]
        self.paged(lists, [each.sid for each in made])
        self.assertEqual(made[0].update(friendly_name="office").friendly_name, "office")
        self.refused(400, 21240, lists.create, friendly_name="office")
        credentials = lists(made[0].sid).credentials
        users = [credentials.create(username=str(name), password=PASSWORD) for name in (101, 102, 103)]
        self.paged(credentials, [each.sid for each in users])
        self.assertEqual(users[0].username, "101")
        self.assertEqual(users[0].update(password=PASSWORD + "2").sid, users[0].sid)
        self.refused(400, 21240, credentials.create, username="104", password="short")
        self.refused(400, 21240, credentials.create, username="101", password=PASSWORD)
        self.assertTrue(users[1].delete())
        self.paged(credentials, [users[0].sid, users[2].sid])
        self.assertTrue(made[1].delete())
        self.paged(lists, [made[0].sid])

    def test_lists_are_mapped_to_a_domain_for_calls_and_for_registrations(self):
        domain = self.client.sip.domains.create(domain_name="gw.sip.twilio.com", sip_registration=True)
        lists = [self.client.sip.credential_lists.create(friendly_name=name).sid for name in ("one", "two")]
        for auth in (domain.auth.calls.credential_list_mappings, domain.auth.registrations.credential_list_mappings):
            for sid in lists:
                self.assertEqual(auth.create(credential_list_sid=sid).sid, sid)
            self.paged(auth, lists)
            self.refused(400, 21231, auth.create, credential_list_sid=lists[0])
            self.assertEqual(auth(lists[1]).fetch().friendly_name, "two")
            self.assertTrue(auth(lists[1]).delete())
            self.paged(auth, lists[:1])
        self.assertEqual(domain.fetch().auth_type, "CREDENTIAL_LIST")
        self.refused(400, 21241, self.client.sip.credential_lists(lists[0]).delete)

    def test_access_lists_are_created_filled_mapped_and_deleted(self):
        lists = self.client.sip.ip_access_control_lists
        made = [lists.create(friendly_name=name) for name in ("office", "lab")]
        self.paged(lists, [each.sid for each in made])
        self.refused(400, 21235, lists.create, friendly_name="office")
        self.assertEqual(made[1].update(friendly_name="shed").friendly_name, "shed")
        addresses = lists(made[0].sid).ip_addresses
        own = [addresses.create(friendly_name=ip, ip_address=ip, cidr_prefix_length=29)
               for ip in ("192.0.2.8", "192.0.2.16")]
        self.paged(addresses, [each.sid for each in own])
        self.assertEqual(own[0].update(friendly_name="router").friendly_name, "router")
        domain = self.client.sip.domains.create(domain_name="gw.sip.twilio.com")
        mappings = domain.auth.calls.ip_access_control_list_mappings
        self.assertEqual(mappings.create(ip_access_control_list_sid=made[0].sid).sid, made[0].sid)
        self.paged(mappings, [made[0].sid])
        self.assertEqual(domain.fetch().auth_type, "IP_ACL")
        self.assertTrue(mappings(made[0].sid).delete())
        self.assertTrue(own[1].delete())
        self.assertTrue(made[0].delete())
        self.paged(lists, [made[1].sid])


class Strangers(WithSdk):
    def test_what_strangers_left_is_read_page_by_page(self):
        for seed in (1, 2):
            self.simulator.control("POST", "rest/litter", {"seed": seed})
        client = self.client
        for resource in (client.sip.domains, client.sip.credential_lists, client.sip.ip_access_control_lists,
                         client.applications, client.incoming_phone_numbers, client.addresses, client.keys,
                         client.usage.triggers, client.outgoing_caller_ids, client.serverless.v1.services):
            found = resource.list(page_size=2)
            self.assertGreaterEqual(len(found), 2)
            self.assertEqual(resource(found[-1].sid).fetch().sid, found[-1].sid)
        for each in client.sip.credential_lists.list():
            self.assertTrue(each.credentials.list(page_size=1))
        for service in client.serverless.v1.services.list():
            self.assertEqual(len(service.builds.list()), 1)
            environment = service.environments.list()[0]
            self.assertEqual(environment.build_sid, environment.deployments.list()[0].build_sid)
            self.assertTrue(service.assets.list()[0].asset_versions.list() and environment.variables.list())
        before = self.simulator.control("GET", "rest/records")
        service.delete()
        left = self.simulator.control("GET", "rest/records")
        self.assertEqual(len(before) - len(left), 7, "a service, an environment, an asset, a version, ...")


class Voice(WithSdk):
    def test_applications_are_created_listed_paged_updated_and_deleted(self):
        apps = self.client.applications
        made = [apps.create(friendly_name=name, voice_url="https://example.com/in") for name in ("a", "b", "c")]
        self.paged(apps, [app.sid for app in made])
        self.paged(apps, [made[1].sid], friendly_name="b")
        self.assertEqual(made[0].update(voice_method="GET").voice_method, "GET")
        self.assertEqual(apps(made[0].sid).fetch().voice_method, "GET")
        self.refused(400, 21402, made[0].update, voice_url="nowhere")
        self.assertTrue(made[2].delete())
        self.refused(404, 20404, apps(made[2].sid).fetch)

    def test_a_number_is_found_bought_given_an_app_and_released(self):
        app = self.client.applications.create(friendly_name="in", voice_url="https://example.com/in")
        offers = self.client.available_phone_numbers("US").local.list(area_code="503", limit=3)
        self.assertEqual(len(offers), 3)
        numbers = self.client.incoming_phone_numbers
        bought = numbers.create(phone_number=offers[0].phone_number, friendly_name="office")
        self.assertEqual(bought.phone_number, offers[0].phone_number)
        self.assertEqual([each.sid for each in numbers.list(phone_number=bought.phone_number)], [bought.sid])
        self.assertEqual(len(numbers.list(page_size=1)), 2)
        changed = bought.update(voice_application_sid=app.sid, friendly_name="desk")
        self.assertEqual((changed.voice_application_sid, changed.friendly_name), (app.sid, "desk"))
        self.assertFalse(bought.update(voice_application_sid="").voice_application_sid)
        self.assertTrue(bought.delete())
        self.refused(404, 20404, bought.fetch)
        self.assertEqual([each.phone_number for each in numbers.list()], [NUMBER])

    def test_an_address_is_made_registered_for_emergencies_and_given_up(self):
        addresses = self.client.addresses
        made = [addresses.create(**US_ADDRESS, friendly_name=name, emergency_enabled=True) for name in ("a", "b")]
        self.paged(addresses, [each.sid for each in made])
        self.assertEqual(made[1].update(street_secondary="Room 7").street_secondary, "Room 7")
        number = self.client.incoming_phone_numbers.list()[0]
        number = number.update(emergency_address_sid=made[0].sid, emergency_status="Active")
        self.assertEqual(number.emergency_address_sid, made[0].sid)
        self.assertEqual(number.emergency_address_status, "pending-registration")
        status = [number.fetch().emergency_address_status for _ in range(10)]
        self.assertEqual(status[-1], "registered")
        self.assertTrue(made[1].delete())
        self.paged(addresses, [made[0].sid])
        self.assertEqual([each.sid for each in addresses(made[0].sid).dependent_phone_numbers.list()], [number.sid])

    def test_a_call_is_made_listed_and_ended(self):
        self.simulator.control("POST", "pstn/party", {"number": CALLED, "party": {"answer_after_ms": 600_000}})
        calls = self.client.calls
        made = [calls.create(to=CALLED, from_=NUMBER, twiml="<Response><Hangup/></Response>") for _ in range(2)]
        self.assertEqual({each.sid for each in calls.list(page_size=1)}, {each.sid for each in made})
        self.assertEqual(made[0].fetch().to, CALLED)
        self.assertEqual([made[0].update(status="completed").sid, made[1].update(status="completed").sid],
                         [made[0].sid, made[1].sid])
        self.refused(404, 20404, calls("CA" + "0" * 32).fetch)

    def test_a_caller_id_is_verified_by_a_call_renamed_and_given_up(self):
        callers = self.client.outgoing_caller_ids
        request = self.client.validation_requests.create(phone_number=CALLED, friendly_name="cell")
        self.assertEqual((request.phone_number, len(request.validation_code)), (CALLED, 6))
        self.assertEqual(callers.list(), [])
        self.simulator.control("POST", "rest/verify", {"number": CALLED})
        own = callers.list(phone_number=CALLED)[0]
        self.assertEqual(own.update(friendly_name="mobile").friendly_name, "mobile")
        self.assertTrue(own.delete())
        self.refused(404, 20404, own.fetch)

    def test_countries_and_toll_free_numbers_are_found_too(self):
        available = self.client.available_phone_numbers("US")
        self.assertEqual(len(available.toll_free.list(limit=2, page_size=2)), 2)
        self.assertEqual(available.fetch().country_code, "US")
        self.assertIn("US", [each.country_code for each in self.client.available_phone_numbers.list()])

    def test_dialing_permissions_are_read_and_changed(self):
        permissions = self.client.voice.v1.dialing_permissions
        countries = permissions.countries
        self.assertGreater(len(countries.list(page_size=5)), 20)
        self.assertEqual([each.iso_code for each in countries.list(iso_code="MX")], ["MX"])
        self.assertFalse(countries("MX").fetch().low_risk_numbers_enabled)
        twiml = "<Response><Hangup/></Response>"
        self.refused(400, 21215, self.client.calls.create, to=MEXICAN, from_=NUMBER, twiml=twiml)
        change = [{"iso_code": iso, "low_risk_numbers_enabled": "true"} for iso in ("PR", "MX", "DO")]
        update = permissions.bulk_country_updates.create(update_request=json.dumps(change))
        self.assertEqual(update.update_count, 3)
        self.assertEqual(self.client.calls.create(to=MEXICAN, from_=NUMBER, twiml=twiml).to, MEXICAN)
        enabled = {each.iso_code for each in countries.list(low_risk_numbers_enabled=True, page_size=2)}
        self.assertEqual(enabled, {"US", "CA", "PR", "MX", "DO"})
        prefixes = countries("LV").highrisk_special_prefixes.list(page_size=1)
        self.assertEqual([each.prefix for each in prefixes], ["+37181", "+3719000"])
        self.assertTrue(permissions.settings().fetch().dialing_permissions_inheritance)
        updated = permissions.settings().update(dialing_permissions_inheritance=False)
        self.assertFalse(updated.dialing_permissions_inheritance)
        self.refused(404, 20404, countries("XX").fetch)


class AsSeenLive(WithSdk):
    options = ("--switch", "mixed_case_capabilities=true")

    def test_capabilities_in_capitals_are_a_known_difference_and_no_violation(self):
        offers = self.client.available_phone_numbers("US").local.list(area_code="503", limit=3, page_size=3)
        self.assertEqual({offer.capabilities.get("SMS") for offer in offers}, {True})
        self.assertIn("in capitals: 3", str(Report().read(self.simulator.recording)))


class Account(WithSdk):
    def test_the_account_shows_itself_and_its_balance(self):
        account = self.client.api.v2010.accounts(self.simulator.account).fetch()
        self.assertEqual((account.sid, account.status), (self.simulator.account, "active"))
        self.assertEqual(self.client.balance.fetch().currency, "USD")
        self.assertEqual([each.sid for each in self.client.api.v2010.accounts.list()], [self.simulator.account])
        self.assertTrue(self.client.usage.records.list(category="totalprice"))

    def test_too_many_requests_a_failure_and_wrong_credentials_are_told_apart(self):
        balance = self.client.balance
        for status, code in ((429, 20429), (500, 20500), (503, 20503)):
            self.simulator.control("POST", "rest/fault", {"status": status, "code": code, "count": 1})
            self.refused(status, code, balance.fetch)
        self.assertEqual(balance.fetch().currency, "USD")
        self.refused(401, 20003, self.client_of(self.simulator.account, "0" * 32).balance.fetch)
        self.refused(404, 20404, self.client.api.v2010.accounts("AC" + "0" * 32).fetch)

    def test_a_standard_key_is_made_used_renamed_and_deleted(self):
        key = self.client.new_keys.create(friendly_name="gateway")
        self.assertEqual(len(key.secret), 32)
        self.assertIn(key.sid, [each.sid for each in self.client.keys.list(page_size=1)])
        self.assertEqual(self.client.keys(key.sid).update(friendly_name="office").friendly_name, "office")
        with_key = self.client_of(key.sid, key.secret)
        self.assertEqual(with_key.sip.domains.list(), [])
        self.refused(401, 20003, with_key.keys(key.sid).fetch)
        self.refused(401, 20003, with_key.api.v2010.accounts(self.simulator.account).fetch)
        self.assertTrue(self.client.keys(key.sid).delete())
        self.refused(401, 20003, with_key.balance.fetch)

    def test_a_restricted_key_is_made_listed_changed_and_deleted(self):
        iam = self.client.iam.v1
        policy = {"allow": ["/twilio/voice/calls/read"]}
        key = iam.new_api_key.create(account_sid=self.simulator.account, friendly_name="narrow",
                                     key_type="restricted", policy=policy)
        self.assertEqual((len(key.secret), key.policy), (32, policy))
        other = iam.new_api_key.create(account_sid=self.simulator.account, friendly_name="standard")
        own = [self.simulator.addresses["api_key"], key.sid, other.sid]
        self.paged(iam.get_api_keys, own, account_sid=self.simulator.account)
        self.refused(401, 20003, self.client_of(key.sid, key.secret).iam.v1.api_key(key.sid).fetch)
        self.assertEqual(self.client_of(other.sid, other.secret).balance.fetch().currency, "USD")
        wider = {"allow": ["/twilio/voice/calls/read", "/twilio/voice/calls/list"]}
        self.assertEqual(iam.api_key(key.sid).update(policy=wider).policy, wider)
        self.assertEqual(iam.api_key(key.sid).fetch().policy, wider)
        self.refused(400, 70002, iam.api_key(key.sid).update, policy={"allow": ["calls"]})
        self.assertTrue(iam.api_key(key.sid).delete())
        self.refused(404, 20404, iam.api_key(key.sid).fetch)

    def test_the_auth_token_is_rotated(self):
        accounts = self.client.accounts.v1
        second = accounts.secondary_auth_token().create().secondary_auth_token
        self.refused(400, 20001, accounts.secondary_auth_token().create)
        self.assertTrue(accounts.secondary_auth_token().delete())
        second = accounts.secondary_auth_token().create().secondary_auth_token
        self.assertEqual(accounts.auth_token_promotion().update().auth_token, second)
        self.refused(401, 20003, self.client.balance.fetch)
        self.assertEqual(self.client_of(self.simulator.account, second).balance.fetch().currency, "USD")

    def test_usage_triggers_are_created_listed_paged_updated_and_deleted(self):
        triggers = self.client.usage.triggers
        made = [triggers.create(callback_url="https://example.com/limit", trigger_value=value, trigger_by="price",
                                usage_category="totalprice", recurring="monthly", friendly_name=value)
                for value in ("10", "20")]
        self.paged(triggers, [each.sid for each in made])
        self.assertEqual(made[0].update(friendly_name="spend limit").friendly_name, "spend limit")
        self.assertEqual(float(triggers(made[0].sid).fetch().trigger_value), 10)
        self.assertTrue(made[1].delete())
        self.paged(triggers, [made[0].sid])


class HostedService(WithSdk):
    options = ("--switch", "build_reads=1")

    def upload(self, service, asset, path, visibility="public"):
        """The SDK knows no upload: its multipart/form-data is that of `requests`."""
        answer = requests.post(
            f"{self.simulator.addresses['rest']}/v1/Services/{service}/Assets/{asset}/Versions",
            data={"Path": path, "Visibility": visibility}, files={"Content": ("sound.wav", SOUND, "audio/wav")},
            auth=(self.simulator.account, self.simulator.token), timeout=LIMIT, proxies={"http": ""})
        self.assertEqual(answer.status_code, 201, answer.text)
        return answer.json()["sid"]

    def hosted(self, domain, path):
        return requests.get(f"{self.simulator.addresses['rest']}/hosted/{domain}{path}", timeout=LIMIT,
                            proxies={"http": ""})

    def test_sounds_are_built_deployed_promoted_served_and_deleted(self):
        services = self.client.serverless.v1.services
        others = [services.create(unique_name=name, friendly_name=name) for name in ("one", "two")]
        service = services.create(unique_name="sounds", friendly_name="Sounds", include_credentials=False)
        self.paged(services, [each.sid for each in (*others, service)])
        self.assertEqual(service.update(friendly_name="All sounds").friendly_name, "All sounds")
        self.assertEqual(services("sounds").fetch().sid, service.sid)
        self.refused(409, 20409, services.create, unique_name="sounds", friendly_name="again")

        stage, prod = (service.environments.create(unique_name=name, domain_suffix=suffix)
                       for name, suffix in (("stage", "stage"), ("prod", None)))
        self.paged(service.environments, [stage.sid, prod.sid])
        assets = [service.assets.create(friendly_name=name) for name in ("greeting", "goodbye", "broken")]
        self.paged(service.assets, [asset.sid for asset in assets])
        self.assertEqual(assets[0].update(friendly_name="hello").friendly_name, "hello")
        versions = [self.upload(service.sid, asset.sid, f"/{name}.wav")
                    for asset, name in zip(assets, ("greeting", "goodbye", "broken"))]
        self.paged(assets[0].asset_versions, versions[:1])
        self.assertEqual(assets[0].asset_versions(versions[0]).fetch().path, "/greeting.wav")

        build = service.builds.create(asset_versions=versions[:2], runtime="node22")
        self.assertEqual(build.status, "building")
        self.refused(409, 20409, stage.deployments.create, build_sid=build.sid)
        self.assertEqual([build.build_status().fetch().status for _ in range(2)], ["building", "completed"])
        failed = service.builds.create(asset_versions=versions)
        self.assertEqual([failed.build_status().fetch().status for _ in range(2)], ["building", "failed"])
        self.paged(service.builds, [build.sid, failed.sid])

        first = stage.deployments.create(build_sid=build.sid)
        self.assertEqual(stage.deployments(first.sid).fetch().build_sid, build.sid)
        prod.deployments.create(build_sid=stage.fetch().build_sid)
        self.paged(stage.deployments, [first.sid])
        for environment in (stage, prod):
            answer = self.hosted(environment.domain_name, "/goodbye.wav")
            self.assertEqual((answer.content, answer.headers["Content-Type"]), (SOUND, "audio/wav"))
        self.assertEqual(self.hosted(stage.domain_name, "/broken.wav").status_code, 404)

        variable = stage.variables.create(key="LANGUAGE", value="en")
        stage.variables.create(key="REGION", value="us1")
        self.refused(409, 20409, stage.variables.create, key="LANGUAGE", value="es")
        self.assertEqual(variable.update(value="es").value, "es")
        self.assertEqual([each.key for each in stage.variables.list(page_size=1)], ["LANGUAGE", "REGION"])
        self.assertTrue(variable.delete())

        self.refused(409, 20409, build.delete)
        self.assertTrue(failed.delete())
        self.assertTrue(prod.delete())
        self.assertTrue(assets[2].delete())
        self.assertTrue(service.delete())
        self.refused(404, 20404, service.fetch)
        self.assertEqual(self.hosted(stage.domain_name, "/goodbye.wav").status_code, 404)
        self.paged(services, [each.sid for each in others])


if __name__ == "__main__":
    unittest.main()
