-- Makes a value stale, or removes it. ARGV: depth (S or H), only of this version (0: of any), channel.
local r = load(KEYS[2])
if ARGV[2] ~= '0' and not (r.h and digits(r.h.w) == ARGV[2]) then return 0 end
if r.is and generation then
  overtake(r)
  if ARGV[1] == 'H' then
    r.h = nil
  elseif r.h then
    r.h.x = 1
  end
  save(r)
end
-- Also if there is nothing here: others may have copies of what the server has forgotten.
tell(ARGV[3], ARGV[1], '0', r.key)
return 1
