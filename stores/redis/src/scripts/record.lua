-- What all scripts begin with: the record of a key, and the rules by which it ages.
--
-- KEYS[1] is the generation of the namespace, KEYS[2] and what follows are records; all lie in one slot.
-- A record is a hash:
--   s  the state: number of the last grant or write, end of the lease, begin of the last creation, end of
--      the quiet, failures in a row, until when it is worth keeping, generation of the namespace
--   o  the owner of the lease, empty if there is none
--   h  the head of the value: version, made, placed, end of freshness, end, made stale, generation
--   v  the value
-- Times are microseconds of this server's clock. Lua has whole numbers exactly up to EXACT.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local EXACT = 9007199254740991
-- A clock that goes back by more than this was put back.
local STEP = 1000000
-- What holds nothing is kept for so long, for the order of its numbers.
local REST = 10000000
-- A generation outlives what bears it by so many milliseconds.
local HOUR = 3600000

local function digits(number)
  return string.format('%.0f', math.min(number, EXACT))
end

-- The numbers in a text. None if it was not written here, or by a later version.
local function read(text, pattern)
  if type(text) ~= 'string' then return nil end
  local list = {string.match(text, pattern)}
  for at, digits_of_it in ipairs(list) do
    local number = tonumber(digits_of_it)
    if number > EXACT then return nil end
    list[at] = number
  end
  return list[1] and list
end

local function write(...)
  local list = {...}
  for at, number in ipairs(list) do list[at] = digits(number) end
  return table.concat(list, ' ')
end

-- The generation of the namespace, and the one that began with the last removal. A namespace without
-- one was never used, or was forgotten: then nobody knows what was invalidated, and nothing in it counts.
local generation, removed
local told = read(redis.pcall('GET', KEYS[1]), '^(%d+) (%d+)$')
if told then generation, removed = told[1], told[2] end

-- Before something is written that is kept for `span`. The first change of a script is the one that a full
-- server refuses, so it has to be one that takes room: what is kept for longer is said in `save`.
local keep_generation = 0
local function enter(span)
  keep_generation = math.max(keep_generation, math.ceil(span / 1000))
  if not generation then
    generation, removed = now, now
    redis.call('SET', KEYS[1], write(generation, removed))
  end
end

local function load(key)
  local raw = redis.pcall('HMGET', key, 's', 'o', 'h')
  local s = read(raw[1], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  local h = s and read(raw[3], '^(%d+) (%d+) (%d+) (%d+) (%d+) ([01]) (%d+)$')
  -- One of another type, or of a form that nobody here wrote, counts as none, and is replaced.
  local r = {key = key, foreign = not s, is = s or raw.err or raw[1] or raw[2] or raw[3]}
  s = s or {0, 0, 0, 0, 0, 0, 0}
  r.g, r.l, r.b, r.q, r.n, r.t, r.s = s[1], s[2], s[3], s[4], s[5], s[6], s[7]
  r.o = not r.foreign and raw[2] or ''
  if h then r.h = {w = h[1], m = h[2], p = h[3], f = h[4], k = h[5], x = h[6], y = h[7]} end
  -- If the last creation began in the future, the clock was put back since: each end moves back with it.
  if r.b > now + STEP then
    local ahead = r.b - now
    r.b, r.moved = now, true
    r.l, r.q, r.t = math.max(r.l - ahead, 0), math.max(r.q - ahead, 0), math.max(r.t - ahead, 0)
  end
  -- Nobody can tell how old a value is that was placed in the future: it is to be renewed.
  if r.h and r.h.p > now + STEP then
    local ahead = r.h.p - now
    r.h.x, r.h.p, r.moved = 1, now, true
    r.h.m, r.h.f, r.h.k = math.max(r.h.m - ahead, 0), math.max(r.h.f - ahead, 0), math.max(r.h.k - ahead, 0)
  end
  -- What bears another generation is from before the namespace was invalidated.
  if r.s ~= generation then
    r.o, r.l, r.b, r.q, r.n, r.t, r.s = '', 0, 0, 0, 0, 0, generation or 0
  end
  if r.h and r.h.y ~= generation then
    if generation and removed <= r.h.y and r.h.y < generation then r.h.x = 1 else r.h = nil end
  end
  if r.h and r.h.k <= now then r.h = nil end
  return r
end

local function save(r, value)
  -- A namespace that was entered just now.
  r.s = generation
  if r.foreign and r.is then redis.call('DEL', r.key) end
  local fields = {'s', write(r.g, r.l, r.b, r.q, r.n, r.t, r.s), 'o', r.o}
  local ends = math.max(r.t, now + REST)
  if r.o ~= '' then ends = math.max(ends, r.l) end
  if r.h then
    local h = r.h
    ends = math.max(ends, h.k)
    fields[#fields + 1], fields[#fields + 2] = 'h', write(h.w, h.m, h.p, h.f, h.k, h.x, h.y)
  end
  if value then fields[#fields + 1], fields[#fields + 2] = 'v', value end
  redis.call('HSET', r.key, unpack(fields))
  if not r.h then redis.call('HDEL', r.key, 'h', 'v') end
  -- Only so that what is over takes no room. Whether it is over the times above tell.
  redis.call('PEXPIRE', r.key, digits(math.ceil((ends - now) / 1000)))
  if redis.call('PTTL', KEYS[1]) < keep_generation then
    redis.call('PEXPIRE', KEYS[1], digits(keep_generation + HOUR))
  end
end

-- A number that the record has not seen. With the clock in it, also above those of one that was forgotten.
local function following(r)
  return math.max(r.g + 1, now)
end

local function is_leased(r)
  return r.o ~= '' and now < r.l
end

-- Whether nobody took the lease from this owner.
local function holds(r, owner, number)
  return r.o ~= '' and r.o == owner and digits(r.g) == number
end

-- A write or an invalidation: whoever leads has lost, and whoever asks next need not wait.
local function overtake(r)
  r.g, r.o, r.l, r.b, r.q, r.n, r.t = following(r), '', 0, 0, 0, 0, 0
end

-- It may be lost, and the server may forbid it: nothing relies on it.
local function tell(channel, kind, version, key)
  redis.pcall('PUBLISH', channel, kind .. version .. ' ' .. key)
end
