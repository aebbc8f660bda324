"""The configuration of lingate for the simulated plant, and its enrolment at a sandbox of its own."""

import os
import re
import shutil
import subprocess

DATASET_POINTS = 10_000
PURPOSE = "urn:lingate:purpose:remote-quality"


def modbus(options):
    """`options.devices` devices: units of one address, or each at an address of its own."""
    text = []
    for number in range(1, options.devices + 1):
        address, unit = (f"127.0.{number >> 8}.{number & 255}", 1) if options.apart else ("127.0.0.1", number)
        text.append(f'[[device]]\nname = "u{number:02}"\ndriver = "modbus-tcp"\nevery = "{options.every}"\n'
                    f'equipment = "acme/lingang/hall-2/line-A/extruder-7"\naddress = "{address}:5020"\nunit = {unit}\n')
        for index in range(options.values):
            text.append(f'[[device.point]]\nname = "v{index:03}"\nregister = "holding:{2 * index}"\ntype = "f32"\n')
            text.append(labels(options, (number - 1) * options.values + index))
    return text


def opcua(options):
    accepted = "I accept that anybody on this network can read and forge these values"
    text = [f'[[device]]\nname = "m"\ndriver = "opcua"\nevery = "100ms"\nequipment = "acme/lingang/hall-2/line-A/extruder-7"\n'
            f'address = "opc.tcp://127.0.0.1:4840"\nsecurity = "none"\naccept_plain_text = "{accepted}"\n']
    for number in range(1000):
        name = f"u{number // 500 + 1:02}_v{number % 500:03}"
        text.append(f'[[device.point]]\nname = "{name}"\nnode = "nsu=urn:opcua-sim;s={name}"\ntype = "float"\n')
        text.append(labels(options, number))
    return text


def numbered(options):
    """One OPC UA server of lingate-plant with as many variables, every one changed once in `every`."""
    command = [f"{options.bin}/lingate-plant", "--opcua", f"m=numbered:{options.devices}", "--every", options.every, "--print-config"]
    head, counter, *points = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("[[device.point]]")
    place = lambda number, point: "[[device.point]]" + point.replace("ds-extr-07", f"ds-{number // DATASET_POINTS:02}")
    return [head] + [place(number, point) for number, point in enumerate(points)]


def labels(options, number):
    dataset = number // DATASET_POINTS
    return f'dataset = "ds-{dataset:02}"\nclass = "general"\nminimize = [ {{ round = 0.1 }} ]\n'


def configuration(options, state, fingerprint):
    points = {"M": options.devices * options.values, "O": 1000, "N": options.devices}[options.work]
    datasets = range((points + DATASET_POINTS - 1) // DATASET_POINTS)
    head = (f'[gateway]\nid = "gw-bench"\ntenant = "acme"\nstate_dir = "{state}/state"\n\n[sandbox]\n'
            f'broker = "mqtts://localhost:8883"\nca = "{state}/ca.pem"\ncertificate = "{state}/gateway.pem"\n'
            f'key = "{state}/state/identity/tls.key"\nroot_sha256 = "{fingerprint}"\nack = "broker"\n\n'
            f'[buffer]\nmax_size = "8GiB"\ncommit = "{options.commit}"\n\n[health]\nlisten = "127.0.0.1:9273"\n\n')
    sets = [f'[[dataset]]\nid = "ds-{number:02}"\npurpose = "{PURPOSE}"\nclass = "general"\n'
            f'flush = {{ readings = {options.batch}, age = "{options.age}" }}\n\n' for number in datasets]
    devices = {"M": modbus, "O": opcua, "N": numbered}[options.work](options)
    return head + "".join(sets) + "".join(devices), len(sets)


def sandbox(bin_folder, folder, datasets):
    """A sandbox that grants as many datasets; gives the fingerprint of its root."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [f"{bin_folder}/lingate-sandbox", "init", folder, "--port", "8883", "--listen", "127.0.0.1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    policy = f"{folder}/policy.toml"
    with open(policy) as file:
        head = file.read().split("[[dataset]]")[0]
    grants = [f'[[dataset]]\nid = "ds-{number:02}"\nalias = "bench{number:02}"\npurposes = ["{PURPOSE}"]\n'
              'roles = ["role:oem-quality"]\nclass_ceiling = "general"\nretention_days = 1\n\n' for number in range(datasets)]
    with open(policy, "w") as file:
        file.write(head + "".join(grants))
    return re.search(r"sha256 ([0-9a-f]{64})", said)[1]


def enroll(bin_folder, options, state, sandbox_folder):
    """Writes lingate.toml and goes the way of plant IT."""
    shutil.rmtree(state, ignore_errors=True)
    os.makedirs(state)
    _, datasets = configuration(options, state, "0" * 64)
    text, _ = configuration(options, state, sandbox(bin_folder, sandbox_folder, datasets))
    with open(f"{state}/lingate.toml", "w") as file:
        file.write(text)
    run = lambda *words: subprocess.run(words, check=True, cwd=state, stdout=subprocess.DEVNULL)
    run(f"{bin_folder}/lingate", "enroll", "--config", "lingate.toml", "--output", "enroll.json")
    run(f"{bin_folder}/lingate-sandbox", "issue", sandbox_folder, "enroll.json")
    issued = f"{sandbox_folder}/gateways/gw-bench"
    shutil.copy(f"{issued}/sandbox-ca.pem", f"{state}/ca.pem")
    shutil.copy(f"{issued}/gateway.pem", f"{state}/gateway.pem")
    shutil.copy(f"{issued}/root.json", f"{state}/state/root.json")
    os.makedirs(f"{state}/state/inbox", exist_ok=True)
    shutil.copy(f"{issued}/bundle.jws.json", f"{state}/state/inbox/bundle.jws.json")
