package mgr

import "github.com/rudderpost/rudderpost/wire"

// maxRespelled is the length, in bytes, of encoded arguments up to which a reply is spelled as Kea spells it, including the
// arguments. Longer arguments keep their spelling, and are written from the handler's memory.
const maxRespelled = 64 << 10

// spellForKea gives the last reply of a batch Kea's spelling, if its request had no id. Such a reply is always the last of its
// conn. The writer calls it, never the loop, since it takes time in proportion to the reply's length. c.mu is not held.
func (c *conn) spellForKea(batch []*encodedReply) {
	if len(batch) == 0 {
		return
	}
	r := batch[len(batch)-1]
	if !r.isLast || r.isSpelled {
		return
	}
	before := r.size()
	r.spellForKea()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addBufferedLocked(r.size() - before)
}

// spellForKea gives the reply Kea's spelling.
func (r *encodedReply) spellForKea() {
	r.isSpelled = true
	spare := replyPool.Get().(*encodedReply) // its buffer becomes the frame
	switch {
	case r.body == nil:
		spare.frame = wire.AppendKea(spare.frame[:0], r.frame)
		r.frame, spare.frame = spare.frame, r.frame
	case len(r.body) <= maxRespelled:
		spare.frame = append(append(append(spare.frame[:0], r.frame...), r.body...), r.tail...)
		r.frame = wire.AppendKea(r.frame[:0], spare.frame)
		r.body, r.tail = nil, ""
	default:
		spare.frame, r.tail = wire.AppendKeaParts(spare.frame[:0], r.frame, r.tail)
		r.frame, spare.frame = spare.frame, r.frame
	}
	spare.free()
}
