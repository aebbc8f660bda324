// What an editor offers in a lingate.toml: taplo's language server, the one inside VS Code's "Even Better TOML", asked as an
// editor asks it. Prints one line; fails at the first thing that is not offered, or offered where it must not stand.
//
//   node completion.js LINGATE
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { fileURLToPath, pathToFileURL } = require('url');
const { TaploLsp } = require('@taplo/lsp');

// Where the cursor (|) stands, what must be offered there, and what must not. Not within [[device.point]]: taplo 0.8 looks for
// the wrong table below a list in a list, and stops.
const CASES = [
  ['[buffer]\n|', ['max_size', 'overflow'], ['broker', 'register']],
  ['[sandbox]\n|', ['broker', 'root_sha256'], ['max_size']],
  ['[[dataset]]\n|', ['id', 'purpose', 'flush'], ['register']],
  ['[[device]]\n|', ['driver', 'every', 'equipment'], ['broker', 'max_size']],
  ['[[device]]\ndriver = "modbus-tcp"\n|', ['address', 'unit', 'every'], ['broker', 'max_size']],
  ['[[device]]\ndriver = |', ['"modbus-tcp"', '"opcua"'], ['"drop-oldest"']],
  ['[buffer]\noverflow = |', ['"drop-oldest"', '"refuse-new"'], ['"opcua"']],
];

async function main(lingate) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lingate-completion-'));
  try {
    fs.writeFileSync(path.join(folder, 'lingate.schema.json'), execFileSync(lingate, ['schema']));
    const editor = await Editor.open(folder);
    let offered = 0;
    for (const [number, [text, wanted, unwanted]] of CASES.entries()) {
      const labels = await editor.complete(`${number}.toml`, `#:schema ./lingate.schema.json\n${text}`);
      const missing = wanted.filter((label) => !labels.includes(label));
      const foreign = unwanted.filter((label) => labels.includes(label));
      if (missing.length || foreign.length) {
        throw new Error(`in ${JSON.stringify(text)}: missing ${missing}, foreign ${foreign}; offered: ${labels}`);
      }
      offered += labels.length;
    }
    const told = await editor.hover('hover.toml', '#:schema ./lingate.schema.json\n[buffer]\nmax_|size = "8GiB"');
    if (!told.includes('bytes')) throw new Error(`max_size is explained as ${JSON.stringify(told)}`);
    console.log(`taplo's language server: in ${CASES.length} places ${offered} keys and values offered, none of another table; and a key explained`);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

class Editor {
  static async open(folder) {
    const editor = new Editor();
    editor.uri = pathToFileURL(folder).href;
    editor.waiting = new Map();
    editor.taplo = await TaploLsp.initialize(environment(folder), { onMessage: (message) => editor.hear(message) });
    const workspaceFolders = [{ uri: editor.uri, name: 'plant' }];
    await editor.ask('initialize', { processId: null, rootUri: editor.uri, capabilities: {}, workspaceFolders });
    editor.tell('initialized', {});
    return editor;
  }

  tell(method, params, id) {
    this.taplo.send({ jsonrpc: '2.0', method, params, id });
  }

  ask(method, params) {
    const id = this.waiting.size + 1;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.tell(method, params, id);
    });
  }

  // An answer, or a question to an editor that has no settings of its own.
  hear(message) {
    if (message.method === undefined) {
      this.waiting.get(message.id)?.(message.result);
    } else if (message.id !== undefined) {
      const items = message.method === 'workspace/configuration' ? message.params.items.map(() => null) : null;
      setImmediate(() => this.taplo.send({ jsonrpc: '2.0', id: message.id, result: items }));
    }
  }

  async complete(name, text) {
    const answer = await this.ask('textDocument/completion', this.at(name, text));
    return (answer?.items ?? answer ?? []).map((item) => item.label);
  }

  async hover(name, text) {
    return JSON.stringify((await this.ask('textDocument/hover', this.at(name, text)))?.contents ?? '');
  }

  // Opens the text, and gives the place of the cursor in it.
  at(name, text) {
    const uri = `${this.uri}/${name}`;
    const lines = text.split('|')[0].split('\n');
    this.tell('textDocument/didOpen', { textDocument: { uri, languageId: 'toml', version: 1, text: text.replace('|', '') } });
    return { textDocument: { uri }, position: { line: lines.length - 1, character: lines.at(-1).length } };
  }
}

// What a language server in WebAssembly may do here: read files, and nothing of the network.
function environment(folder) {
  const offline = () => Promise.reject(new Error('there is no network'));
  return {
    now: () => new Date(),
    envVar: () => '',
    envVars: () => [],
    stdErrAtty: () => false,
    stdin: () => Promise.resolve(new Uint8Array()),
    stdout: (bytes) => Promise.resolve(bytes.length),
    stderr: (bytes) => Promise.resolve(bytes.length),
    glob: () => [],
    readFile: (file) => fs.promises.readFile(file),
    writeFile: () => Promise.reject(new Error('nothing is written')),
    urlToFilePath: (url) => fileURLToPath(url),
    isAbsolute: (file) => path.isAbsolute(file),
    cwd: () => folder,
    findConfigFile: () => undefined,
    fetch: { fetch: offline, Headers, Request, Response },
  };
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
