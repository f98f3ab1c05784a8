"""A pjsip softphone as a program: `pjsip_phone.py JSON`, driven by lines of JSON on its control port.

It runs in a network namespace, and pjsip's threads are not ours: so it is a process of its own. Commands are objects with
`do`; each gets one line back. It plays a tone and writes what each call hears into heard-N.wav of its folder."""

import json
import os
import socket
import sys

import pjsua2 as pj

RTP_PORT = 31000


class Account(pj.Account):
    registered = False

    def onRegState(self, info):
        Account.registered = info.code == 200 and info.expiration > 0

    def onIncomingCall(self, info):
        call = Call(self, info.callId)
        call.ring()


class Call(pj.Call):
    all = []
    folder = tone = None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state, self.code, self.recorder = "", 0, None
        Call.all.append(self)

    def ring(self):
        self.answer_with(180)

    def answer_with(self, code):
        options = pj.CallOpParam(True)
        options.statusCode = code
        self.answer(options)

    def onCallState(self, _):
        info = self.getInfo()
        ended = info.state == pj.PJSIP_INV_STATE_DISCONNECTED
        self.state, self.code = "ENDED" if ended else info.stateText, info.lastStatusCode

    def onCallMediaState(self, _):
        active = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
        # What it holds lives no longer than it does.
        info = self.getInfo()
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in active:
                audio = self.getAudioMedia(-1)
                Call.tone.startTransmit(audio)
                if self.recorder is None:
                    self.recorder = pj.AudioMediaRecorder()
                    self.recorder.createRecorder(os.path.join(Call.folder, f"heard-{Call.all.index(self)}.wav"))
                audio.startTransmit(self.recorder)


def tone(frequency):
    generator = pj.ToneGenerator()
    generator.createToneGenerator(8000)
    part = pj.ToneDesc()
    part.freq1, part.freq2, part.on_msec, part.off_msec = frequency, 0, 30000, 0
    parts = pj.ToneDescVector()
    parts.append(part)
    generator.play(parts, True)
    return generator


def start(setup):
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    config.logConfig.level = config.logConfig.consoleLevel = 4
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.noVad, config.medConfig.sndAutoCloseTime = True, -1
    endpoint.libInit(config)
    for kind in (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP):
        transport = pj.TransportConfig()
        transport.port = 5060
        endpoint.transportCreate(kind, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        keeps = codec.codecId.startswith(setup["codec"] + "/")
        endpoint.codecSetPriority(codec.codecId, 255 if keeps else 0)
    return endpoint


def account(setup):
    config = pj.AccountConfig()
    by = ";transport=tcp" if setup["transport"] == "tcp" else ""
    config.idUri = f"sip:{setup['extension']}@{setup['gateway']}"
    config.regConfig.registrarUri = f"sip:{setup['gateway']}{by}"
    config.regConfig.timeoutSec = 300
    config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", setup["extension"], 0, setup["password"]))
    config.mediaConfig.transportConfig.port = RTP_PORT
    config.mediaConfig.srtpUse = {"no": pj.PJMEDIA_SRTP_DISABLED, "must": pj.PJMEDIA_SRTP_MANDATORY}[setup["srtp"]]
    config.mediaConfig.srtpSecureSignaling = 0
    made = Account()
    made.create(config)
    return made


def obey(endpoint, mine, setup, order):
    call = Call.all[order["call"]] if "call" in order else None
    match order["do"]:
        case "dial":
            by = ";transport=tcp" if order.get("by", setup["transport"]) == "tcp" else ""
            Call(mine).makeCall(f"sip:{order['number']}@{setup['gateway']}{by}", pj.CallOpParam(True))
        case "answer":
            call.answer_with(200)
        case "hang_up":
            call.hangup(pj.CallOpParam(True))
        case "hold":
            call.setHold(pj.CallOpParam(True))
        case "transfer":
            call.xferReplaces(Call.all[order["to"]], pj.CallOpParam(True))
        case "moved":
            endpoint.handleIpChange(pj.IpChangeParam())
        case "state":
            pass
    return {"registered": Account.registered, "calls": [[call.state, call.code] for call in Call.all]}


def main(setup):
    endpoint = start(setup)
    Call.folder, Call.tone = setup["folder"], tone(setup["frequency"])
    mine = account(setup)
    listener = socket.create_server(("127.0.0.1", setup["control"]))
    listener.setblocking(False)
    control, data = None, b""
    while True:
        endpoint.libHandleEvents(10)
        try:
            if control is None:
                control, _ = listener.accept()
                control.setblocking(False)
            more = control.recv(65536)
        except BlockingIOError:
            continue
        if not more:
            os._exit(0)
        data += more
        while b"\n" in data:
            line, data = data.split(b"\n", 1)
            try:
                answer = obey(endpoint, mine, setup, json.loads(line))
            except pj.Error as error:
                answer = {"error": error.info()}
            control.setblocking(True)
            control.sendall(json.dumps(answer).encode() + b"\n")
            control.setblocking(False)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
