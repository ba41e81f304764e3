//! How a metric of each type is written: name, help, type, samples.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Writes metrics of each type.
pub(super) struct Out<'a>(DescriptorEncoder<'a>);

impl<'o> Out<'o> {
    /// Writes with this.
    pub fn to(encoder: DescriptorEncoder<'o>) -> Self {
        Self(encoder)
    }

    pub fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [(&'static str, &'static str); N],
    ) -> fmt::Result {
        self.0
            .encode_descriptor(name, &format!("{help}."), None, MetricType::Info)?
            .encode_info(&labels)
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        ConstGauge::new(value).encode(
            self.0
                .encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?,
        )
    }

    pub fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?;
        for (value, number) in values {
            ConstGauge::new(number).encode(encoder.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }

    pub fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(
            name,
            &format!("{help}."),
            None,
            MetricType::Counter,
        )?)
    }

    pub fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, &format!("{help}."), None, MetricType::Counter)?;
        for (value, count) in values {
            ConstCounter::new(count).encode(encoder.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }

    pub fn histogram(&mut self, name: &str, help: &str, buckets: &[(f64, u64)], sum: f64) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut encoder = self
            .0
            .encode_descriptor(name, &format!("{help}."), None, MetricType::Histogram)?;
        encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, buckets, None)
    }
}
