// Run a job with the client of @hey-api/openapi-ts: the URL and the model are the arguments.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { client } from './hey_api/client.gen'
import { createJob, createModel, downloadArtifact, getJob, getReport, listArtifacts } from './hey_api/sdk.gen'

const [url, file] = process.argv.slice(2)
client.setConfig({ baseUrl: url, throwOnError: true })

const model = (await createModel({ body: new Blob([readFileSync(file)]), headers: { 'X-Filename': 'digits.onnx' } })).data!
let job = (await createJob({ body: { model: model.id, spec: { preset: 'int8-weights' } } })).data!
while (job.status === 'queued' || job.status === 'running') {
  job = (await getJob({ path: { job_id: job.id }, headers: { prefer: 'wait=60' } })).data!
}
const listed = (await listArtifacts({ path: { job_id: job.id } })).data!.items
const data = (await downloadArtifact({ path: { job_id: job.id, name: 'model.onnx' }, parseAs: 'blob' })).data as Blob
const digest = createHash('sha256').update(Buffer.from(await data.arrayBuffer())).digest('hex')
const report = (await getReport({ path: { job_id: job.id } })).data!
if (digest !== listed.find((entry) => entry.name === 'model.onnx')!.sha256) throw new Error('the digest differs')
console.log(job.status, data.size, report.summary.size_ratio)
