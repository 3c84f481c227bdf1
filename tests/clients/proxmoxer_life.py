"""A container's life against the simulator, driven by proxmoxer: a client that neither Berth nor its simulator shares code with.

Reads PVE_HOST, PVE_PORT and PVE_CA (the certificate to trust). Prints one line per check, `ok …` or `not ok …`, as the test runner counts them.
"""

import os
import sys
from pathlib import Path

from proxmoxer import AuthenticationError, ProxmoxAPI, ResourceException
from proxmoxer.tools import Tasks

HOST = os.environ["PVE_HOST"]
PORT = int(os.environ["PVE_PORT"])
CA = str(Path(os.environ["PVE_CA"]).resolve())
TEMPLATE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"

checks = []


def check(sentence):
    def register(function):
        checks.append((sentence, function))
        return function

    return register


def sign_in(user="alice@pve", password="berth"):
    return ProxmoxAPI(HOST, port=PORT, user=user, password=password, verify_ssl=CA, timeout=30)


def expect(actual, wanted):
    assert actual == wanted, f"{actual!r} instead of {wanted!r}"


def finished(api, upid):
    task = Tasks.blocking_status(api, upid, timeout=60, polling_interval=0.05)
    assert task is not None, f"{upid} does not end"
    return task["exitstatus"]


def refused(function, status, text):
    try:
        function()
    except ResourceException as error:
        expect(error.status_code, status)
        assert text in str(error), f"{error} does not say {text!r}"
        return error
    raise AssertionError(f"was not refused with {status}")


@check("a wrong password is refused")
def wrong_password():
    try:
        sign_in(password="wrong")
    except AuthenticationError:
        return
    raise AssertionError("signed in")


@check("a token signs in without a ticket")
def token():
    api = ProxmoxAPI(
        HOST, port=PORT, user="alice@pve", token_name="berth", token_value="0b1e55ed-0000-4000-8000-00000000be27", verify_ssl=CA
    )
    assert api.version.get()["release"]
    expect([node["node"] for node in api.nodes.get()][:1], ["pve1"])


@check("a token that does not exist is refused")
def wrong_token():
    api = ProxmoxAPI(HOST, port=PORT, user="alice@pve", token_name="nosuch", token_value="x", verify_ssl=CA)
    refused(api.version.get, 401, "no such token")


@check("a container is created, started, changed, stopped and deleted")
def life():
    api = sign_in()
    vmid = int(api.cluster.nextid.get())
    lxc = api.nodes("pve1").lxc
    upid = lxc.post(
        vmid=vmid,
        ostemplate=TEMPLATE,
        hostname="proxmoxer",
        rootfs="local-lvm:2",
        memory=256,
        net0="name=eth0,bridge=vmbr0,ip=dhcp",
        password="secret12",
        tags="b;a",
    )
    expect(Tasks.decode_upid(upid)["type"], "vzcreate")
    expect(finished(api, upid), "OK")
    log = Tasks.decode_log(api.nodes("pve1").tasks(upid).log.get())
    assert log.endswith("TASK OK"), log

    me = lxc(vmid)
    config = me.config.get()
    expect((config["hostname"], config["memory"], config["tags"]), ("proxmoxer", 256, "a;b"))
    assert config["rootfs"].endswith("size=2G") and "hwaddr=BC:24:11:" in config["net0"], config
    expect(me.status.current.get()["status"], "stopped")

    expect(finished(api, me.status.start.post()), "OK")
    expect(me.status.current.get()["status"], "running")
    assert any(interface["name"] == "eth0" for interface in me.interfaces.get())
    refused(me.status.start.post, 500, "already running")
    refused(me.delete, 500, "container is running")

    expect(me.config.put(memory=512, digest=config["digest"]), None)
    expect(me.config.get()["memory"], 512)
    refused(lambda: me.config.put(memory=1024, digest=config["digest"]), 500, "detected modified configuration")
    expect(finished(api, me.status.reboot.post(timeout=10)), "OK")
    expect(finished(api, me.status.shutdown.post(timeout=10, forceStop=1)), "OK")
    refused(me.status.stop.post, 500, "not running")

    expect(finished(api, me.delete(purge=1)), "OK")
    refused(me.config.get, 500, "does not exist")
    expect([task["status"] for task in api.nodes("pve1").tasks.get(vmid=vmid, typefilter="vzdestroy")], ["OK"])


@check("what is wrong with a request is said by parameter")
def bad_parameters():
    api = sign_in()
    error = refused(lambda: api.nodes("pve1").lxc.post(vmid=99, ostemplate=TEMPLATE, bogus=1), 400, "Parameter verification failed")
    expect(sorted(error.errors), ["bogus", "vmid"])


@check("who may only look is refused with the privilege that is missing")
def forbidden():
    api = sign_in("auditor@pve")
    assert len(api.cluster.resources.get(type="vm")) > 30
    refused(api.nodes("pve1").lxc(103).status.start.post, 403, "Permission check failed (/vms/103, VM.PowerMgmt)")


@check("a task that fails says why")
def failing_task():
    api = sign_in()
    upid = api.nodes("pve1").lxc(115).status.start.post()
    assert "startup for container '115' failed" in finished(api, upid)


@check("a node that is away is a 595")
def offline_node():
    refused(sign_in().nodes("pve3").lxc.get, 595, "No route to host")


failed = False
for sentence, function in checks:
    try:
        function()
        print(f"ok {sentence}")
    except Exception as error:  # every failure of a check is reported, whatever it is
        failed = True
        print(f"not ok {sentence}: {type(error).__name__}: {error}")
sys.exit(1 if failed else 0)
