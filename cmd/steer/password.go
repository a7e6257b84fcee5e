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

// readPassword asks for a new password at a terminal, twice, or reads a line of whatever else stdin is.
func readPassword(ctx context.Context, stdin io.Reader, prompts io.Writer) (string, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return readLine(stdin)
	}
	password, err := prompt(ctx, f, prompts, "New password: ")
	if err != nil {
		return "", err
	}
	again, err := prompt(ctx, f, prompts, "The same again: ")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return password, nil
}

// prompt asks for one line, which the terminal does not show. When ctx ends it leaves the terminal
// as it was, and whoever reads there to the end of the program.
func prompt(ctx context.Context, terminal *os.File, prompts io.Writer, text string) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(prompts, text)
	defer fmt.Fprintln(prompts) // the one that was typed is not shown either
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

// readLine reads the first line, and not much more of it than a password may be long.
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
