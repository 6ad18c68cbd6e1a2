// What AsyncAPI's own parser sees in documents: a list of texts comes in, a list goes out.
const { Parser } = require('@asyncapi/parser')

const seen = ({ document, diagnostics }) => ({
  diagnostics: diagnostics.map(({ code, severity, message, path }) =>
    ({ code, severity, message, path: path.join('.') })),
  version: document?.info().version(),
  servers: document?.servers().all().map(server =>
    ({ id: server.id(), protocol: server.protocol(), url: server.url() })),
  channels: document?.channels().all().map(channel => ({
    id: channel.id(),
    address: channel.address(),
    type: channel.extensions().get('x-redis-type').value(),
    servers: channel.servers().all().map(server => server.id()),
    bindings: channel.bindings().all().map(binding => binding.protocol()),
    parameters: Object.fromEntries(channel.parameters().all()
      .map(parameter => [parameter.id(), parameter.json()])),
    messages: Object.fromEntries(channel.messages().all()
      .map(message => [message.id(), message.payload().json()]))
  })),
  operations: document?.operations().all().map(operation => ({
    action: operation.action(),
    channels: operation.channels().all().map(channel => channel.id()),
    messages: operation.messages().all().map(message => message.id())
  })),
  schemas: Object.fromEntries((document?.components().schemas().all() ?? [])
    .map(schema => [schema.id(), schema.json()]))
})

async function main (texts) {
  const parser = new Parser()
  const found = []
  for (const text of texts) found.push(seen(await parser.parse(text)))
  console.log(JSON.stringify(found))
}

main(JSON.parse(require('fs').readFileSync(0, 'utf8')))
