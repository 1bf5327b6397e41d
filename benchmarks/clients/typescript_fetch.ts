// Run a job with the typescript-fetch client of openapi-generator: the URL and the model are the arguments.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ArtifactsAndReportsApi, Configuration, JobsApi, ModelsAndDatasetsApi } from './fetch_api'

const [basePath, file] = process.argv.slice(2)
const configuration = new Configuration({ basePath })
const files = new ModelsAndDatasetsApi(configuration)
const jobs = new JobsApi(configuration)
const results = new ArtifactsAndReportsApi(configuration)

const model = await files.createModel({ body: new Blob([readFileSync(file)]), xFilename: 'digits.onnx' })
let job = await jobs.createJob({ jobIn: { model: model.id, spec: { preset: 'int8-weights' } } })
while (job.status === 'queued' || job.status === 'running') {
  job = await jobs.getJob({ jobId: job.id, prefer: 'wait=60' })
}
const listed = (await results.listArtifacts({ jobId: job.id })).items
const data = await results.downloadArtifact({ jobId: job.id, name: 'model.onnx' })
const digest = createHash('sha256').update(Buffer.from(await data.arrayBuffer())).digest('hex')
const report = await results.getReport({ jobId: job.id })
if (digest !== listed.find((entry) => entry.name === 'model.onnx')!.sha256) throw new Error('the digest differs')
console.log(job.status, data.size, report.summary.sizeRatio)
