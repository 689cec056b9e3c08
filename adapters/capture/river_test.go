package capture

import "testing"

// riverSchema is what the preset needs of River's table, in River's types.
const riverSchema = `
CREATE TYPE river_job_state AS ENUM ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled');
CREATE TABLE river_job (id bigserial PRIMARY KEY, state river_job_state NOT NULL DEFAULT 'available', attempt smallint NOT NULL DEFAULT 0, max_attempts smallint NOT NULL DEFAULT 25,
	attempted_at timestamptz, finalized_at timestamptz, args jsonb NOT NULL DEFAULT '{}', errors jsonb[], kind text NOT NULL, metadata jsonb NOT NULL DEFAULT '{}', priority smallint NOT NULL DEFAULT 1)`

func TestJobsOfRiver(t *testing.T) {
	t.Parallel()
	r := newRig(t, riverSchema)
	r.attach("preset: river")
	job := last(RowID("public.river_job", "1"))
	set := func(values string) string { return "UPDATE river_job SET " + values }
	note := " note 0007"
	r.steps([]step{
		{"inserted", []string{`INSERT INTO river_job (kind, args) VALUES ('send_mail', '{"note_id": "00000000-0000-4000-8000-000000000007"}')`}, []string{"JobQueued " + job + " SendMail" + note + " priority 1"}},
		{"scheduled", []string{set("state = 'scheduled'")}, nil},
		{"fetched", []string{set("state = 'running', attempt = 1, attempted_at = '2026-01-01 00:00:00Z'")}, []string{"JobStarted " + job + " SendMail" + note}},
		{"other metadata", []string{set(`metadata = '{"x": 1}'`)}, nil},
		{"output", []string{set(`metadata = '{"output": {"progress": 40, "message": "going"}}'`)}, []string{"JobProgress " + job + " SendMail" + note + " 40% going"}},
		{"an attempt fails", []string{set(`state = 'retryable', errors = ARRAY['{"error": "old"}', '{"error": "boom", "trace": "…"}']::jsonb[]`)}, []string{"JobFailed " + job + " SendMail" + note + ` "boom" again`}},
		{"available again", []string{set("state = 'available'")}, nil},
		{"and fetched", []string{set("state = 'running'")}, []string{"JobStarted " + job + " SendMail" + note}},
		{"done", []string{set(`state = 'completed', finalized_at = '2026-01-01 00:00:02Z', metadata = '{"output": {"progress": 100}}'`)}, []string{
			"JobProgress " + job + " SendMail" + note + " 100%", "JobCompleted " + job + " SendMail" + note + " in 2000ms",
		}},
		{"cleaned away", []string{"DELETE FROM river_job"}, nil},
		{"discarded", []string{`INSERT INTO river_job (kind, state, errors) VALUES ('x', 'running', '{}')`, set("state = 'discarded'")}, []string{
			"JobStarted " + last(RowID("public.river_job", "2")) + " X", "JobFailed " + last(RowID("public.river_job", "2")) + ` X "failed"`,
		}},
	})
}
