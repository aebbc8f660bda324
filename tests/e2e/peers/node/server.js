// An OPC UA server on node-opcua, with the variables that README.md of the folder above lists. Takes the same JSON file as
// asyncua_server.py. Prints "listening PORT" and serves until it is killed.
"use strict";
const fs = require("fs");
const net = require("net");
const os = require("os");
const path = require("path");
const {
  OPCUAServer, OPCUACertificateManager, Variant, DataType, VariantArrayType, StatusCodes, SecurityPolicy,
  MessageSecurityMode, UserTokenType, NodeId, NodeIdType, ExpandedNodeId, QualifiedName, LocalizedText,
} = require("node-opcua");

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function values(ns) {
  const one = (name, dataType, value) => ({ name, variant: { dataType, arrayType: VariantArrayType.Scalar, value } });
  const many = (name, dataType, value, dimensions) => ({
    name,
    variant: {
      dataType,
      value,
      arrayType: dimensions.length > 1 ? VariantArrayType.Matrix : VariantArrayType.Array,
      dimensions: dimensions.length > 1 ? dimensions : null,
    },
    rank: dimensions.length,
  });
  return [
    one("boolean", DataType.Boolean, true),
    one("sbyte", DataType.SByte, -128),
    one("byte", DataType.Byte, 255),
    one("int16", DataType.Int16, -32768),
    one("uint16", DataType.UInt16, 65535),
    one("int32", DataType.Int32, -2147483648),
    one("uint32", DataType.UInt32, 4294967295),
    // Two words: high, low.
    one("int64", DataType.Int64, [0x80000000, 0]),
    one("uint64", DataType.UInt64, [0xffffffff, 0xffffffff]),
    one("float", DataType.Float, 3.25),
    one("double", DataType.Double, 2.718281828459045),
    one("string", DataType.String, "Düse 7 \u2192 \"ok\""),
    one("datetime", DataType.DateTime, new Date(Date.UTC(2026, 2, 29, 1, 30, 15, 123))),
    one("guid", DataType.Guid, "72962B91-FA75-4AE6-8D28-B404DC7DAF63"),
    one("bytestring", DataType.ByteString, Buffer.from([0, 1, 254, 255])),
    one("xmlelement", DataType.XmlElement, "<a b=\"1\">x</a>"),
    one("nodeid", DataType.NodeId, new NodeId(NodeIdType.STRING, "Zone/1", ns)),
    one("expandednodeid", DataType.ExpandedNodeId, new ExpandedNodeId(NodeIdType.NUMERIC, 77, 0, "urn:elsewhere", 0)),
    one("statuscode", DataType.StatusCode, StatusCodes.BadNodeIdUnknown),
    one("qualifiedname", DataType.QualifiedName, new QualifiedName({ name: "Zone", namespaceIndex: ns })),
    one("localizedtext", DataType.LocalizedText, new LocalizedText({ text: "Düse", locale: "de-DE" })),
    many("array_double", DataType.Double, [0.1, -2.5, 1e300], [3]),
    many("array_string", DataType.String, ["a", "", "ß"], [3]),
    many("matrix_int32", DataType.Int32, [1, 2, 3, 4, 5, 6], [2, 3]),
    many("cube_uint16", DataType.UInt16, [1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]),
  ];
}

function addTypes(namespace, folder) {
  for (const { name, variant, rank } of values(namespace.index)) {
    try {
      const variable = namespace.addVariable({
        componentOf: folder,
        nodeId: `s=${name}`,
        browseName: name,
        dataType: DataType[variant.dataType],
        valueRank: rank || -1,
        arrayDimensions: rank ? new Array(rank).fill(0) : null,
        minimumSamplingInterval: 50,
      });
      variable.setValueFromSource(new Variant(variant), StatusCodes.Good, new Date());
    } catch (error) {
      process.stderr.write(`no ${name}: ${error.message}\n`);
    }
  }
}

// Two words: high, low.
const counter = (number, round) =>
  new Variant({ dataType: DataType.UInt64, arrayType: VariantArrayType.Scalar, value: [number, round] });

// All items change together: item i has i * 2^32 + round.
function load(namespace, folder, settings) {
  const variables = [];
  for (let number = 0; number < settings.items; number += 1) {
    const name = `load_${String(number).padStart(5, "0")}`;
    const variable = namespace.addVariable({
      componentOf: folder,
      nodeId: `s=${name}`,
      browseName: name,
      dataType: "UInt64",
      minimumSamplingInterval: 0,
    });
    variable.setValueFromSource(counter(number, 0), StatusCodes.Good, new Date());
    variables.push(variable);
  }
  let round = 0;
  const step = () => {
    round += 1;
    const now = new Date();
    variables.forEach((variable, number) => {
      variable.setValueFromSource(counter(number, round), StatusCodes.Good, now);
    });
    fs.writeFileSync(`${settings.counts}.new`, JSON.stringify({ rounds: round }));
    fs.renameSync(`${settings.counts}.new`, settings.counts);
  };
  setInterval(step, settings.interval_ms);
}

async function main() {
  const settings = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  const port = settings.port || (await freePort());
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "lingate-node-opcua-"));
  const manager = (name) =>
    new OPCUACertificateManager({ rootFolder: path.join(root, name), automaticallyAcceptUnknownCertificate: true });
  const [serverCertificateManager, userCertificateManager] = [manager("server"), manager("user")];
  await serverCertificateManager.initialize();
  await userCertificateManager.initialize();
  const pem = path.join(root, "certificate.pem");
  const der = fs.readFileSync(settings.certificate).toString("base64").match(/.{1,64}/g).join("\n");
  fs.writeFileSync(pem, `-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----\n`);
  const server = new OPCUAServer({
    port,
    hostname: "127.0.0.1",
    serverInfo: { applicationUri: settings.uri, productUri: "urn:lingate:peer" },
    buildInfo: { productName: "node-opcua peer" },
    certificateFile: pem,
    privateKeyFile: settings.key,
    serverCertificateManager,
    userCertificateManager,
    securityPolicies: [
      SecurityPolicy.None,
      SecurityPolicy.Basic256Sha256,
      SecurityPolicy.Aes128_Sha256_RsaOaep,
      SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.SignAndEncrypt],
    allowAnonymous: true,
    serverCapabilities: { maxSessions: 10 },
    userManager: { isValidUser: (user, password) => user === settings.user && password === settings.password },
  });
  await server.initialize();
  const namespace = server.engine.addressSpace.getOwnNamespace();
  const folder = namespace.addFolder("ObjectsFolder", { browseName: "Peer" });
  addTypes(namespace, folder);
  await server.start();
  load(namespace, folder, settings);
  process.stdout.write(`listening ${port}\n`);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
