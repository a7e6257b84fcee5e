package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rudderpost/rudderpost/access/secrets"

	"golang.org/x/term"
)

// readNewPassword asks for a new password twice if stdin is a terminal, and reads the first line of stdin otherwise.
func readNewPassword(ctx context.Context, stdin io.Reader, prompts io.Writer) (string, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return readLine(stdin)
	}
	password, err := prompt(ctx, f, prompts, "New password: ")
	if err != nil {
		return "", err
	}
	again, err := prompt(ctx, f, prompts, "Repeat the password: ")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return password, nil
}

// prompt asks for one line, which the terminal does not show. When ctx ends, it restores the terminal and returns. The
// goroutine that reads the terminal then stays until the program ends.
func prompt(ctx context.Context, terminal *os.File, prompts io.Writer, text string) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(prompts, text)
	defer fmt.Fprintln(prompts) // the terminal does not show the newline that was typed
	type result struct {
		line []byte
		err  error
	}
	typed := make(chan result, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		typed <- result{line, err}
	}()
	select {
	case r := <-typed:
		if errors.Is(r.err, io.EOF) || r.err == nil && len(r.line) == 0 {
			r.err = errors.New("no password given")
		}
		return string(r.line), r.err
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		return "", context.Cause(ctx)
	}
}

// readLine returns the first line of r. It reads at most 2 bytes more than a password may have.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, secrets.MaxPassword+2)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("no password given: it is the first line of standard input")
	}
	return line, nil
}
