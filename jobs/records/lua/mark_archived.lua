-- Note that the document of a job in the object store has the state `document.status`, unless the job has another by now.
-- KEYS: job, set of the jobs without a current document.
local status = field(KEYS[1], 'status')
if status and status ~= document.status then redis.call('SADD', KEYS[2], document.id)
else redis.call('SREM', KEYS[2], document.id) end
