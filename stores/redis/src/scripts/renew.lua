-- Makes a lease end in a span from now. ARGV: owner, number, span.
local r = load(KEYS[2])
if not holds(r, ARGV[1], ARGV[2]) or r.l <= now then return 0 end
local span = tonumber(ARGV[3])
enter(span)
r.l = now + span
save(r)
return 1
