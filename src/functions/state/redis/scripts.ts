/**
 * Comparing and setting in one step, as scripts of the server. Of a space with the prefix `p`: `p:v:<key>` is a hash (v value, t
 * type, n version, e expiry), `p:keys` all keys in order, `p:exp` those that expire, `p:version` the last version given.
 * Time comes from the platform, so that all keys of a space expire by one clock.
 */

const COMMON = `
local p, now, key = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local vk = p .. ':v:' .. key
local function drop(k)
  redis.call('DEL', p .. ':v:' .. k)
  redis.call('ZREM', p .. ':keys', k)
  redis.call('ZREM', p .. ':exp', k)
end
local function purge()
  local old = redis.call('ZRANGEBYSCORE', p .. ':exp', '-inf', now, 'LIMIT', 0, 100)
  for _, k in ipairs(old) do drop(k) end
  return #old
end
local function full(most)
  while redis.call('ZCARD', p .. ':keys') >= most do if purge() == 0 then return true end end
  return false
end
purge()
local e = redis.call('HGET', vk, 'e')
if e and e ~= '' and tonumber(e) <= now then drop(key) end
local n = redis.call('HGET', vk, 'n')
local function holds(match, absent)
  if match ~= '' and (not n or (match ~= '*' and match ~= n)) then return false end
  return not (absent == '1' and n)
end
local function index(expires)
  redis.call('ZADD', p .. ':keys', 0, key)
  if expires == '' then redis.call('ZREM', p .. ':exp', key) return end
  redis.call('ZADD', p .. ':exp', expires, key)
end
`;

/** now, key, match, absent, maxKeys, value, type, expires → {version, created} or {-1}: condition, {-2}: full. */
export const PUT = `${COMMON}
if not holds(ARGV[3], ARGV[4]) then return {-1} end
if not n and full(tonumber(ARGV[5])) then return {-2} end
local version = redis.call('INCR', p .. ':version')
redis.call('HSET', vk, 'v', ARGV[6], 't', ARGV[7], 'n', version, 'e', ARGV[8])
index(ARGV[8])
return {version, n and 0 or 1}`;

/** now, key, match, absent → 1: deleted, 0: was not there, -1: condition. */
export const DELETE = `${COMMON}
if not holds(ARGV[3], ARGV[4]) then return -1 end
if not n then return 0 end
drop(key)
return 1`;

/** now, key, by, maxKeys, expires → {version, created, value}, {-2}: full, {-3}: no number. */
export const INCREMENT = `${COMMON}
if not n and full(tonumber(ARGV[4])) then return {-2} end
local sum = redis.pcall('HINCRBY', vk, 'v', ARGV[3])
if type(sum) == 'table' and sum.err then return {-3} end
local version = redis.call('INCR', p .. ':version')
redis.call('HSET', vk, 'n', version)
if not n then
  redis.call('HSET', vk, 't', 'text/plain', 'e', ARGV[5])
  index(ARGV[5])
else redis.call('HSET', vk, 't', 'text/plain') end
return {version, n and 0 or 1, redis.call('HGET', vk, 'v')}`;

/** now, '', min, max, limit → key, value, type, version, expiry for each. */
export const LIST = `
local p, now = KEYS[1], tonumber(ARGV[1])
local min, out, left = ARGV[3], {}, tonumber(ARGV[5])
while left > 0 do
  local keys = redis.call('ZRANGEBYLEX', p .. ':keys', min, ARGV[4], 'LIMIT', 0, left)
  if #keys == 0 then break end
  for _, k in ipairs(keys) do
    local h = redis.call('HMGET', p .. ':v:' .. k, 'v', 't', 'n', 'e')
    if h[3] and (h[4] == '' or tonumber(h[4]) > now) then
      table.insert(out, k)
      for i = 1, 4 do table.insert(out, h[i]) end
      left = left - 1
    end
    min = '(' .. k
  end
end
return out`;
