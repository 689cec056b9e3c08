package domain

import (
	"errors"
	"fmt"
)

// Errors that callers branch on. Adapters wrap what their technology reports into one of these; anything else is an
// internal fault whose text must never reach a client.
var (
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict")
	ErrInvalid      = errors.New("invalid")
	ErrUnauthorized = errors.New("unauthorized")
	ErrUnavailable  = errors.New("unavailable")
)

// A FieldError says which part of an input is wrong and why. It is an ErrInvalid.
type FieldError struct {
	Field  string // the JSON or query name; empty when the input as a whole is at fault
	Index  int    // 0-based place in a batch, or NoIndex
	Detail string // a sentence for people, without secrets and without the offending value when that may be long
}

// NoIndex is the Index of a FieldError about an input that is not a batch.
const NoIndex = -1

// Invalid returns a FieldError outside any batch.
func Invalid(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Index: NoIndex, Detail: fmt.Sprintf(format, args...)}
}

func (e *FieldError) Error() string {
	msg := e.Detail
	if e.Field != "" {
		msg = e.Field + ": " + msg
	}
	if e.Index != NoIndex {
		msg = fmt.Sprintf("item %d: %s", e.Index, msg)
	}
	return msg
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// AtIndex returns err with its place in a batch when it is a FieldError, and err itself otherwise.
func AtIndex(err error, i int) error {
	if fe, ok := errors.AsType[*FieldError](err); ok {
		at := *fe
		at.Index = i
		return &at
	}
	return err
}
