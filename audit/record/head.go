package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// A Head is the number of the last record of a log and the hash of its line.
type Head struct {
	Seq  uint64
	Hash Hash
}

// HeadSize is the length of a Head in its file, in bytes. It is fixed, so that a Head can be overwritten in place.
const HeadSize = 20 + 1 + 64 + 1

// HeadFile returns the name of the file with the head of the log at path.
func HeadFile(path string) string { return path + ".head" }

// Append appends the head to dst in the form of its file: the number in 20 digits, the hash, and a newline.
func (h Head) Append(dst []byte) []byte {
	var digits [20]byte
	for i, n := len(digits)-1, h.Seq; i >= 0; i, n = i-1, n/10 {
		digits[i] = byte('0' + n%10)
	}
	dst = append(append(dst, digits[:]...), ' ')
	return append(hex.AppendEncode(dst, h.Hash[:]), '\n')
}

// String returns the number and the hash in hexadecimal, which ParseHead parses.
func (h Head) String() string { return fmt.Sprintf("%d %s", h.Seq, h.Hash) }

// ParseHead parses a number and a hash in hexadecimal, separated by a space.
func ParseHead(text string) (Head, error) {
	number, hash, _ := strings.Cut(strings.TrimSpace(text), " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	h := Head{Seq: seq}
	if err == nil {
		h.Hash, err = parseHash(hash)
	}
	if err != nil || hash == "" {
		return Head{}, fmt.Errorf("%.100q is no head, which is a number and a SHA-256", text)
	}
	return h, nil
}

// ReadHead reads the head of the log at path. It returns nil and no error if there is none.
func ReadHead(path string) (*Head, error) {
	text, err := os.ReadFile(HeadFile(path))
	text = text[:min(len(text), HeadSize)] // the process that holds the log follows
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(bytes.Trim(text, "\x00")) == 0: // a power failure can leave zeros
		return nil, nil
	case err != nil:
		return nil, err
	}
	head, err := ParseHead(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", HeadFile(path), err)
	}
	return &head, nil
}
