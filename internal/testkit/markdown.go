package testkit

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A MarkdownBlock is one fenced block of a Markdown file.
type MarkdownBlock struct {
	Language, Text string
	Line           int    // of the opening fence, counted from 1
	Remark         string // the text of the HTML comment right before it
}

var markdownRemark = regexp.MustCompile(`^<!-- (.*) -->$`)

// MarkdownBlocks returns the fenced blocks of a Markdown file, from top to bottom. The test fails if the file cannot be
// read, or if a block has no end.
func MarkdownBlocks(t testing.TB, path string) (blocks []MarkdownBlock) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var open *MarkdownBlock
	remark := ""
	for i, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		case isFence:
			open = &MarkdownBlock{Language: fence, Line: i + 1, Remark: remark}
			remark = ""
		case line != "":
			remark = ""
			if m := markdownRemark.FindStringSubmatch(line); m != nil {
				remark = m[1]
			}
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block has no end", path, open.Line)
	}
	return blocks
}
