package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// An identity is what the flags say about who we are, and whom we believe.
type identity struct {
	pki, ca, cert, key, pin       string
	user, passwordFile, tokenFile string
}

func (i *identity) flags(flags *pflag.FlagSet) {
	flags.StringVar(&i.pki, "pki", "", "find the daemon's CA and our certificate in `DIR`, which steer pki or a daemon has made")
	flags.StringVar(&i.ca, "ca", "", "believe daemons that the authorities in `FILE` vouch for (default: the system's)")
	flags.StringVar(&i.cert, "cert", "", "say who we are with the certificate in `FILE`")
	flags.StringVar(&i.key, "key", "", "the certificate's key in `FILE`")
	flags.StringVar(&i.pin, "pin", "", "believe the daemon whose certificate has this `FINGERPRINT` (sha256:…), and no other")
	flags.StringVar(&i.user, "user", "", "say who we are with a `NAME` and a password, which is asked for")
	flags.StringVar(&i.passwordFile, "password-file", "", "take the password from the first line of `FILE`")
	flags.StringVar(&i.tokenFile, "token-file", "", "say who we are with the token in `FILE`")
}

// read reads what the flags name. It asks for a password where one is needed and not to be found.
func (i *identity) read(ctx context.Context, stdin io.Reader, prompts io.Writer) (targets.Identity, error) {
	id := targets.Identity{PKI: i.pki, CA: i.ca, Cert: i.cert, Key: i.key, Pin: i.pin}
	var err error
	switch {
	case i.user != "" && i.tokenFile != "":
		err = errors.New("--user and --token-file both say who we are; leave one out")
	case i.passwordFile != "" && i.user == "":
		err = errors.New("--password-file needs --user: whose password is it?")
	case i.tokenFile != "":
		id.Claim.Token, err = secretIn(i.tokenFile)
	case i.passwordFile != "":
		id.Claim.User = i.user
		id.Claim.Password, err = secretIn(i.passwordFile)
	case i.user != "":
		id.Claim.User = i.user
		id.Claim.Password, err = askPassword(ctx, stdin, prompts)
	}
	return id, err
}

// secretIn reads the first line of a file that nobody else can read.
func secretIn(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: others can read it; chmod 600 it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, secrets.MaxPassword+2))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("%s: its first line is empty", path)
	}
	return line, nil
}

// askPassword asks for a password at the terminal. Standard input that is none may hold a command's
// arguments, so it is left alone.
func askPassword(ctx context.Context, stdin io.Reader, prompts io.Writer) (string, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errors.New("there is no terminal to ask for the password at; put it into a file and give --password-file")
	}
	return prompt(ctx, f, prompts, "Password: ")
}
