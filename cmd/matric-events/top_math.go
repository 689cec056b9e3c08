package main

import (
	"maps"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// sum adds up the samples of a metric whose labels have the values given, as name, value, name, value.
func (l *look) sum(metric string, labels ...string) (sum float64) {
	for _, m := range l.metrics[metric].GetMetric() {
		if has(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func has(m *dto.Metric, labels []string) bool {
	for pair := range slices.Chunk(labels, 2) {
		if label(m, pair[0]) != pair[1] {
			return false
		}
	}
	return true
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// values returns what values a label of a metric has, in order.
func (l *look) values(metric, name string) []string {
	seen := map[string]bool{}
	for _, m := range l.metrics[metric].GetMetric() {
		seen[label(m, name)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// rate returns by how much a counter rose each second between two looks.
func rate(before, now *look, metric string, labels ...string) float64 {
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return max(0, now.sum(metric, labels...)-before.sum(metric, labels...)) / seconds
}

// quantile returns a bound that the given share of the observations between two looks did not exceed; negative when there
// were none. It is a bucket's bound, and infinite above the last.
func quantile(before, now *look, share float64, metric string, labels ...string) time.Duration {
	earlier, counts := before.buckets(metric, labels), now.buckets(metric, labels)
	bounds := slices.Sorted(maps.Keys(counts))
	if len(bounds) == 0 {
		return -1
	}
	total := counts[bounds[len(bounds)-1]] - earlier[bounds[len(bounds)-1]]
	if total <= 0 {
		return -1
	}
	for _, bound := range bounds {
		if counts[bound]-earlier[bound] >= share*total {
			return seconds(bound)
		}
	}
	return -1
}

func seconds(s float64) time.Duration {
	if math.IsInf(s, 1) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}

// buckets returns the cumulative counts of a histogram by upper bound, those of all matching series together.
func (l *look) buckets(metric string, labels []string) map[float64]float64 {
	counts := map[float64]float64{}
	for _, m := range l.metrics[metric].GetMetric() {
		if !has(m, labels) {
			continue
		}
		for _, b := range m.GetHistogram().GetBucket() {
			counts[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	return counts
}
