-- Create a job. Returns false, or why not: 'known ID', 'gone ID', 'FINGERPRINT JOB', 'missing KEY', 'quota N'.
-- KEYS: job, its events, idempotency key or '', then the uploads that the job uses. ARGV[2..]: field, value, ...
local job, events, idempotency = KEYS[1], KEYS[2], KEYS[3]
local refused = refusal(job, idempotency, 4, 1)
if refused then return refused end
accept(idempotency, 4)
add(job, events, document, ARGV, 2)
return false
