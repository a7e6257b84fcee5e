package mgr

import "github.com/rudderpost/rudderpost/wire"

// maxRespelled is the length, in bytes, of encoded arguments up to which a reply is spelled as Kea spells it, including the
// arguments. Longer arguments keep their spelling, and are written from the handler's memory.
const maxRespelled = 64 << 10

// spellForKea gives the last reply of a batch Kea's spelling, if its request had no id. Such a reply is always the last of its
// conn. The writer calls it, never the loop, since it takes time in proportion to the reply's length. c.mu is not held.
func (c *conversation) spellForKea(batch []*answer) {
	if len(batch) == 0 {
		return
	}
	a := batch[len(batch)-1]
	if !a.isLast || a.isSpelled {
		return
	}
	before := a.size()
	a.spellForKea()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold(a.size() - before)
}

// spellForKea gives the reply Kea's spelling.
func (a *answer) spellForKea() {
	a.isSpelled = true
	spare := answers.Get().(*answer) // its buffer becomes the frame
	switch {
	case a.body == nil:
		spare.frame = wire.AppendKea(spare.frame[:0], a.frame)
		a.frame, spare.frame = spare.frame, a.frame
	case len(a.body) <= maxRespelled:
		spare.frame = append(append(append(spare.frame[:0], a.frame...), a.body...), a.tail...)
		a.frame = wire.AppendKea(a.frame[:0], spare.frame)
		a.body, a.tail = nil, ""
	default:
		spare.frame, a.tail = wire.AppendKeaParts(spare.frame[:0], a.frame, a.tail)
		a.frame, spare.frame = spare.frame, a.frame
	}
	spare.release()
}
