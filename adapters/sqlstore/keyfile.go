package sqlstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// checkPlace and checkText are what the row of the table secret_key_check holds.
const (
	checkPlace = "secret_key_check"
	checkText  = "matric-events"
)

// unlock gets the key that fits the database ready, when there is a schema.
func (d *DB) unlock(ctx context.Context) error {
	var tables int
	if err := d.read.GetContext(ctx, &tables, d.engine.findKeyCheck()); err != nil || tables == 0 {
		return translate(err) // MigrateUp comes here again
	}
	var checks [][]byte
	if err := d.read.SelectContext(ctx, &checks, `SELECT sealed FROM secret_key_check`); err != nil {
		return translate(err)
	}
	if len(checks) == 0 {
		return d.newLock(ctx)
	}
	key, err := readKey(d.keyFile)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the database holds secrets that are encrypted with the key in %s, and this file is missing: restore it, or name the right one", d.keyFile)
	}
	if err != nil {
		return err
	}
	v := newVault(key)
	if text, err := v.open(checks[0], checkPlace); err != nil || string(text) != checkText {
		return fmt.Errorf("the key in %s does not fit this database: restore the right file, or name it", d.keyFile)
	}
	d.vault.Store(v)
	return nil
}

// newLock binds a database that holds nothing encrypted yet to the key in the file, which it makes if there is none. The
// file comes first: a crash in between must not leave a database whose key is lost.
func (d *DB) newLock(ctx context.Context) error {
	key, err := readKey(d.keyFile)
	if errors.Is(err, os.ErrNotExist) {
		key = randomKey()
		err = writeKey(d.keyFile, key)
	}
	if err != nil {
		return err
	}
	v := newVault(key)
	if _, err := d.write.ExecContext(ctx, d.write.Rebind(`INSERT INTO secret_key_check (id, sealed) VALUES (1, ?)`),
		v.seal([]byte(checkText), checkPlace)); err != nil {
		return translate(err)
	}
	d.vault.Store(v)
	return nil
}

// secrets returns the vault, which there is not before MigrateUp.
func (d *DB) secrets() (*vault, error) {
	if v := d.vault.Load(); v != nil {
		return v, nil
	}
	return nil, errors.New("the schema is not up to date; migrate first")
}

// readKey reads a key file. Errors do not tell what is in it.
func readKey(path string) (key [keySize]byte, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return key, fmt.Errorf("read the secret key: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(raw) != keySize {
		return key, fmt.Errorf("%s holds no key: want %d bytes in base64", path, keySize)
	}
	return [keySize]byte(raw), nil
}

// writeKey makes a key file that only this user can read. It is there as a whole and for good, or not at all.
func writeKey(path string, key [keySize]byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the secret key %s: %w", path, err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // after the renaming there is nothing of this name
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key[:]) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what a directory lists durable. Some systems cannot, and do it by themselves.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = dir.Sync()
	return dir.Close()
}
