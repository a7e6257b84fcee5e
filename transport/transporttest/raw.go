package transporttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/rudderpost/rudderpost/transport"
)

// three are frames that contain text that looks like an end.
var three = []string{
	`{"a":["}",{"b":"\"]\\"}]}`,
	`[]`,
	"[{\"c\":\"# no /* comment */ // here\"},\n 1.5e3, null]",
}

func (p *place) wantThree(c transport.Conn) {
	p.Helper()
	for _, f := range three {
		p.wantFrame(c, []byte(f))
	}
}

// glued: frames may follow each other with white space, comments or nothing between them.
func glued(p *place) {
	for _, between := range []string{"", " ", "\n", "\r\n\t ", "#\n", "/**/", " // x\n /* { \n [ */ "} {
		raw, c := p.raw(three[0] + between + three[1] + between + three[2] + between)
		p.wantThree(c)
		p.write(raw, three[0]+three[1]+between+three[2])
		p.wantThree(c)
		_ = raw.Close()
		_ = c.Close()
	}
}

// split cuts glued frames at every byte.
func split(p *place) {
	raw, c := p.raw(three[1])
	p.wantFrame(c, []byte(three[1]))
	var whole string
	var ends []int
	for _, f := range three {
		whole += f
		ends = append(ends, len(whole))
	}
	for cut := range len(whole) + 1 {
		p.write(raw, whole[:cut])
		n := 0
		for n < len(three) && ends[n] <= cut {
			p.wantFrame(c, []byte(three[n]))
			n++
		}
		p.write(raw, whole[cut:])
		for ; n < len(three); n++ {
			p.wantFrame(c, []byte(three[n]))
		}
	}
}

// byteByByte writes each byte of glued frames by itself.
func byteByByte(p *place) {
	first := three[0][:1]
	raw, c := p.raw(first)
	written := start(func() error {
		rest := three[0] + three[1] + three[2]
		for i := range len(rest) - 1 {
			if _, err := io.WriteString(raw, rest[i+1:i+2]); err != nil {
				return err
			}
		}
		return nil
	})
	p.wantThree(c)
	p.wantNoError(p.ends("Write", written))
}

// comments: comments outside strings are blanked, so that positions stay true.
func comments(p *place) {
	const text = " \t\r\n# one { \"\n // two\n/* three\n **/ " +
		`{"a" /* x */: # y }` + "\n" + `"#//" /**/, // z` + "\n" + `"b": [ /* ] */ 1 ] /***/}`
	const want = `{"a":"#//","b":[1]}`
	raw, c := p.raw(text + text + "/* end */\n")
	for range 2 {
		got, err := c.Receive(p.ctx, nil)
		p.wantNoError(err)
		if open := bytes.IndexByte(got, '{'); open != 0 {
			p.Errorf("the frame %s does not begin with its bracket", short(got))
		}
		if n := bytes.Count(got, []byte("\n")); n != 2 {
			p.Errorf("the frame %s has %d line feeds, want 2", short(got), n)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, got); err != nil || compact.String() != want {
			p.Fatalf("the frame is %s (%v), want %s", short(got), err, want)
		}
	}
	p.write(raw, "{}")
	p.wantFrame(c, []byte("{}"))
}

// alreadyHere: a frame that came with the one before is returned although the context has ended.
func alreadyHere(p *place) {
	raw, c := p.raw("[1][2]")
	p.wantFrame(c, []byte("[1]"))
	got, err := c.Receive(p.ended(), nil)
	if err != nil || string(got) != "[2]" {
		p.Fatalf("Receive of a frame that is here: %s, %v", short(got), err)
	}
	_, err = c.Receive(p.ended(), nil)
	p.wantEnded("Receive", err)
	p.write(raw, "[3]")
	p.wantFrame(c, []byte("[3]"))
}

// cancelledInsideFrame: the part of a frame that has arrived is not lost when Receive ends with its context.
func cancelledInsideFrame(p *place) {
	raw, c := p.raw("[]")
	p.wantFrame(c, []byte("[]"))
	big := string(frame(min(p.cfg.MaxFrame, 40<<10), 1))
	for i, f := range append(three, big, three[0], big) {
		for _, cut := range []int{1, len(f) / 2, len(f) - 1} {
			p.write(raw, f[:cut])
			ctx, cancel := context.WithCancelCause(p.ctx)
			received := start(func() error {
				_, err := c.Receive(ctx, nil)
				return err
			})
			yield((i + 1) * cut % 1000)
			cancel(errEnded)
			p.wantEnded("Receive", p.ends("Receive", received))
			_, err := c.Receive(p.ended(), nil)
			p.wantEnded("Receive", err)
			p.write(raw, f[cut:])
			p.wantFrame(c, []byte(f))
		}
	}
}

// badFirstByte: a byte that cannot start a frame is reported at once, and the conn can send.
func badFirstByte(p *place) {
	for text, offset := range map[string]int{
		"POST / HTTP/1.1\r\n": 0, "\x16\x03\x01": 0, "\x00{}": 0, "\xef\xbb\xbf{}": 0, "}": 0, `"{}"`: 0, "\f{}": 0,
		" \t\r\n x": 5, "# {}\n7": 5, "/* */ /**/n": 10,
	} {
		raw, c := p.raw(text)
		bad := p.wantFrameError(c, transport.BadFirstByte)
		if bad.Byte != text[offset] || bad.Offset != offset {
			p.Errorf("%q: byte %q at %d, want %q at %d", text, bad.Byte, bad.Offset, text[offset], offset)
		}
		p.answered(raw, c)
	}
	raw, c := p.raw("{}  x")
	p.wantFrame(c, []byte("{}"))
	_ = p.wantFrameError(c, transport.BadFirstByte)
	p.answered(raw, c)
}

// badComment: a slash that starts no comment is reported at once.
func badComment(p *place) {
	for text, offset := range map[string]int{"/x": 0, "//\n /{": 4, `{"a":1/2`: 6, `[ /"`: 2} {
		raw, c := p.raw(text)
		bad := p.wantFrameError(c, transport.BadComment)
		if bad.Byte != text[offset+1] || bad.Offset != offset {
			p.Errorf("%q: byte %q at %d, want %q at %d", text, bad.Byte, bad.Offset, text[offset+1], offset)
		}
		p.answered(raw, c)
	}
}

// answered checks that a conn that cannot receive can send, and closes both ends.
func (p *place) answered(raw io.ReadWriteCloser, c transport.Conn) {
	p.Helper()
	if !p.cfg.Mute {
		p.send(c, hello)
		read := start(func() error {
			line, err := bufio.NewReader(raw).ReadString('\n')
			if err == nil && line != string(hello)+"\n" {
				err = errors.New("the answer is " + line)
			}
			return err
		})
		p.wantNoError(p.ends("Read", read))
	}
	_ = c.Close()
	_ = raw.Close()
}

// cutOff: a half-close inside a frame is reported as CutOff, and is io.EOF too.
func cutOff(p *place) {
	for text, lost := range map[string]int{`[1, /* c */ "`: 6, " {": 1, "": 0, " \n": 0, "# open": 0, "/": 0} {
		raw, c := p.raw("{}" + text)
		p.wantFrame(c, []byte("{}"))
		half, ok := raw.(interface{ CloseWrite() error })
		if !ok {
			return // Raw of the Config has no half-close
		}
		p.wantNoError(half.CloseWrite())
		if lost == 0 {
			if _, err := c.Receive(p.ctx, nil); !errors.Is(err, io.EOF) || errors.As(err, new(*transport.FrameError)) {
				p.Fatalf("%q and the end: %v, want io.EOF", text, err)
			}
			p.answered(raw, c)
			continue
		}
		bad := p.wantFrameError(c, transport.CutOff)
		if bad.Discarded != lost || !errors.Is(bad, io.EOF) {
			p.Errorf("%q and the end: %d bytes are lost (%v), want %d", text, bad.Discarded, bad, lost)
		}
		p.answered(raw, c)
	}
}
