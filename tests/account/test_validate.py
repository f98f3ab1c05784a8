"""The validator can fail: it is shown traffic with one thing wrong, for each kind of wrong."""

import contextlib
import copy
import io
import json
import os
import tempfile
import unittest

from tests.account.validate import Report, main

ACCOUNT = "AC" + "0" * 32
SID = "SD" + "1" * 32
DATE = "Mon, 20 Jul 2015 17:27:10 +0000"
DOMAIN = {
    "account_sid": ACCOUNT, "api_version": "2010-04-01", "auth_type": "", "byoc_trunk_sid": None,
    "date_created": DATE, "date_updated": DATE, "domain_name": "gw.sip.twilio.com", "emergency_caller_sid": None,
    "emergency_calling_enabled": False, "friendly_name": "gw", "secure": True, "sid": SID, "sip_registration": True,
    "subresource_uris": {"credential_list_mappings": "/2010-04-01/x.json"}, "uri": "/2010-04-01/y.json",
    "voice_fallback_method": "POST", "voice_fallback_url": None, "voice_method": "POST",
    "voice_status_callback_method": "POST", "voice_status_callback_url": None, "voice_url": None,
}
CREATED = {
    "method": "POST", "url": f"http://127.0.0.1:1/2010-04-01/Accounts/{ACCOUNT}/SIP/Domains.json",
    "headers": {"content-type": "application/x-www-form-urlencoded"},
    "body": "DomainName=gw.sip.twilio.com&Secure=true", "status": 201, "answer": DOMAIN, "fault": False,
}
FETCHED = {**CREATED, "method": "GET", "url": f"http://127.0.0.1:1/2010-04-01/Accounts/{ACCOUNT}/SIP/Domains/{SID}.json",
           "headers": {"content-type": ""}, "body": "", "status": 200}
REFUSED = {**FETCHED, "status": 404, "answer": {
    "code": 20404, "message": "not found", "more_info": "https://www.twilio.com/docs/errors/20404", "status": 404}}
PROMOTED = {**FETCHED, "method": "POST", "url": "http://127.0.0.1:1/v1/AuthTokens/Promote", "answer": {
    "account_sid": ACCOUNT, "auth_token": "0123456789abcdef", "date_created": "2015-07-31T04:00:00Z",
    "date_updated": "2015-07-31T04:00:00Z", "url": "https://accounts.twilio.com/v1/AuthTokens/Promote"}}


def violations(line, answer=None, **changes):
    """What is found in a line with these changes."""
    line = {**copy.deepcopy(line), **changes}
    line["answer"].update(answer or {})
    report = Report()
    report.add(line)
    return report.violations


class Validator(unittest.TestCase):
    def assert_one(self, found, *words):
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_traffic_as_it_should_be_has_no_violation_and_is_counted(self):
        report = Report()
        for line in (CREATED, FETCHED, REFUSED, PROMOTED):
            report.add(line)
        self.assertEqual(report.violations, [])
        self.assertEqual((report.requests.total(), report.answers.total(), report.refusals.total()), (4, 3, 1))
        self.assertIn("/SIP/Domains/{Sid}.json", str(report))

    def test_an_answer_of_the_wrong_type_is_a_violation(self):
        self.assert_one(violations(CREATED, {"secure": "yes"}), "answer 201", "secure", "'yes' is not of type")

    def test_an_answer_of_the_wrong_form_is_a_violation(self):
        self.assert_one(violations(FETCHED, {"sid": "SD1"}), "sid")
        self.assert_one(violations(FETCHED, {"date_created": "2015-07-20"}), "date_created")
        self.assert_one(violations(PROMOTED, {"date_created": DATE}), "date_created")
        self.assert_one(violations(FETCHED, {"voice_method": "PUT"}), "voice_method", "PUT")

    def test_an_answer_with_an_undocumented_or_without_a_documented_field_is_a_violation(self):
        self.assert_one(violations(CREATED, {"is_secure": True}), "is_secure")
        answer = {key: value for key, value in DOMAIN.items() if key != "auth_type"}
        line = {**CREATED, "answer": answer}
        self.assert_one(violations(line), "auth_type", "required")

    def test_an_undocumented_status_is_a_violation(self):
        self.assert_one(violations(CREATED, status=202), "202")

    def test_a_mistyped_parameter_is_a_violation(self):
        self.assert_one(violations(CREATED, body=CREATED["body"] + "&VoiceURL=https%3A%2F%2Fx"), "request", "VoiceURL")

    def test_a_parameter_with_a_wrong_value_and_a_missing_one_are_violations(self):
        self.assert_one(violations(CREATED, body="DomainName=gw.sip.twilio.com&Secure=maybe"), "request")
        self.assert_one(violations(CREATED, body="DomainName=gw.sip.twilio.com&VoiceMethod=PUT"), "VoiceMethod")
        self.assert_one(violations(CREATED, body="Secure=true"), "request", "DomainName")

    def test_an_empty_value_clears_a_sid_and_a_broken_sid_is_a_violation(self):
        update = {**FETCHED, "method": "POST", "headers": CREATED["headers"]}
        self.assertEqual(violations(update, body="ByocTrunkSid=&VoiceUrl="), [])
        self.assert_one(violations(update, body="ByocTrunkSid=BY1"), "ByocTrunkSid")

    def test_a_body_that_is_no_form_is_a_violation(self):
        headers = {"content-type": "application/json"}
        found = violations(CREATED, headers=headers, body=json.dumps({"DomainName": "gw.sip.twilio.com"}))
        self.assertTrue(found and all("request" in each for each in found), found)

    def test_an_unknown_query_parameter_and_a_wrong_one_are_violations(self):
        self.assert_one(violations(FETCHED, url=FETCHED["url"] + "?Fields=all"), "Fields")
        page = {"account_sid": ACCOUNT, "keys": [], "meta": {}}
        line = {**FETCHED, "answer": page, "fault": True}
        self.assert_one(violations(line, url=f"http://h/v1/Keys?AccountSid={ACCOUNT}&PageSize=some"), "request")
        self.assert_one(violations(line, url="http://h/v1/Keys"), "request", "AccountSid")

    def test_an_answer_from_a_path_that_is_not_in_the_openapi_files_is_a_violation(self):
        self.assert_one(violations(FETCHED, url="http://127.0.0.1:1/v1/Unheard"), "/v1/Unheard")
        self.assertEqual(violations(REFUSED, url="http://127.0.0.1:1/v1/Unheard"), [])

    def test_a_refusal_of_another_shape_is_a_violation(self):
        self.assert_one(violations(REFUSED, {"code": "20404"}), "refusal 404", "code")

    def test_an_injected_fault_is_no_answer_of_the_api(self):
        self.assertEqual(violations(CREATED, {"secure": "yes"}, fault=True), [])

    def test_an_upload_is_reported_as_outside(self):
        report = Report()
        asset = f"/v1/Services/ZS{'0' * 32}/Assets/ZH{'0' * 32}/Versions"
        report.add({**CREATED, "url": f"http://127.0.0.1:1{asset}", "headers": {"content-type": "multipart/form-data"}})
        self.assertEqual(report.violations, [])
        self.assertIn("not in the OpenAPI files: POST upload of an asset version: 1", str(report))

    def test_secrets_are_masked(self):
        found = violations(PROMOTED, {"auth_token": ["hush0hush0hush0"]})
        self.assert_one(found, "auth_token", "***")
        self.assertNotIn("hush", found[0])

    def test_the_exit_code_tells_of_violations_and_of_a_recording_without_traffic(self):
        for lines, code in (([CREATED], 0), ([{**CREATED, "status": 202}], 1), ([], 1)):
            with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
            self.addCleanup(os.unlink, file.name)
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(main([file.name]), code)


if __name__ == "__main__":
    unittest.main()
