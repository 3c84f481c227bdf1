// A container's life against the simulator, driven by @corsinvest/cv4pve-api-javascript: JSON bodies, raw cookie, no code shared with
// Berth. Reads PVE_HOST and PVE_PORT. Prints one line per check, `ok …` or `not ok …`, as the test runner counts them.
// The client itself accepts any certificate.

const assert = require("node:assert/strict");
const { PveClient } = require("@corsinvest/cv4pve-api-javascript");

const { PVE_HOST, PVE_PORT } = process.env;
const TEMPLATE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";

async function signIn(user = "alice", password = "berth", realm = "pve") {
  const client = new PveClient(PVE_HOST, Number(PVE_PORT));
  client.logEnabled = false;
  assert.equal(await client.login(user, password, realm), true, `${user} cannot sign in`);
  return client;
}

async function finished(client, answer) {
  assert.equal(answer.statusCode, 200, answer.reasonPhrase);
  const upid = answer.response.data;
  const node = upid.split(":")[1];
  for (let polls = 0; polls < 600; polls++) {
    const { response } = await client.get(`/nodes/${node}/tasks/${encodeURIComponent(upid)}/status`);
    if (response.data.status === "stopped") return response.data.exitstatus;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${upid} does not end`);
}

function refused(answer, status, text) {
  assert.equal(answer.statusCode, status);
  assert.ok(answer.reasonPhrase.includes(text), `${answer.reasonPhrase} does not say ${text}`);
}

const checks = {
  "a wrong password is refused": async () => {
    const client = new PveClient(PVE_HOST, Number(PVE_PORT));
    client.logEnabled = false;
    assert.notEqual(await client.login("alice", "wrong", "pve"), true);
  },
  "a token signs in without a ticket": async () => {
    const client = new PveClient(PVE_HOST, Number(PVE_PORT));
    client.apiToken = "alice@pve!berth=0b1e55ed-0000-4000-8000-00000000be27";
    assert.equal((await client.version.version()).statusCode, 200);
  },
  "a container is created, started, stopped and deleted": async () => {
    const client = await signIn();
    const vmid = (await client.cluster.nextid.nextid()).response.data;
    const created = await client.create("/nodes/pve1/lxc", {
      vmid, ostemplate: TEMPLATE, hostname: "cv4pve", rootfs: "local-lvm:2", memory: 256, net0: "name=eth0,bridge=vmbr0,ip=dhcp", unprivileged: true,
    });
    assert.equal(await finished(client, created), "OK");
    const me = client.nodes.get("pve1").lxc.get(vmid);
    assert.equal((await me.config.vmConfig()).response.data.hostname, "cv4pve");
    assert.equal(await finished(client, await client.create(`/nodes/pve1/lxc/${vmid}/status/start`)), "OK");
    assert.equal((await me.status.current.vmStatus()).response.data.status, "running");
    refused(await client.create(`/nodes/pve1/lxc/${vmid}/status/start`), 500, "already running");
    refused(await client.delete(`/nodes/pve1/lxc/${vmid}`), 500, "container is running");
    assert.equal((await client.set(`/nodes/pve1/lxc/${vmid}/config`, { description: "two\nlines" })).statusCode, 200);
    assert.equal((await me.config.vmConfig()).response.data.description, "two\nlines\n");
    assert.equal(await finished(client, await client.create(`/nodes/pve1/lxc/${vmid}/status/stop`)), "OK");
    assert.equal(await finished(client, await client.delete(`/nodes/pve1/lxc/${vmid}`, { purge: true })), "OK");
    refused(await me.config.vmConfig(), 500, "does not exist");
  },
  "what is wrong with a request is said by parameter": async () => {
    const client = await signIn();
    const answer = await client.create("/nodes/pve1/lxc", { ostemplate: TEMPLATE, memory: 1 });
    refused(answer, 400, "Parameter verification failed.");
    assert.deepEqual(Object.keys(answer.response.errors).sort(), ["memory", "vmid"]);
  },
  "who may nothing is refused": async () => {
    const client = await signIn("nobody");
    refused(await client.get("/nodes/pve1/lxc/103/config"), 403, "Permission check failed (/vms/103, VM.Audit)");
  },
};

(async () => {
  for (const [sentence, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${sentence}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`not ok ${sentence}: ${error.message.split("\n")[0]}`);
    }
  }
})();
