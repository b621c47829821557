-- Makes all values of a slice of a namespace stale, or removes them. ARGV: depth (S or H), channel, name of
-- the namespace; without a channel nobody is told.
if generation then
  generation = math.max(generation + 1, now)
  if ARGV[1] == 'H' then removed = generation end
  redis.call('SET', KEYS[1], write(generation, removed), 'KEEPTTL')
end
if ARGV[2] ~= '' then tell(ARGV[2], ARGV[1] == 'H' and 'N' or 'n', '0', ARGV[3]) end
return 1
