//! Noise on Burn's tensors: that of the slices, on the processor to the bit.
//!
//! With the feature `vulkan` the graphics card is compared too.

#![cfg(feature = "train")]

use burn::Tensor;
use burn::tensor::Device;
use thalweg_private::noise::{CHUNK, Gaussian, Memory, NoiseStream, TensorNoise};
use thalweg_private::strategy::Form;
use thalweg_private::{Blt, Error, Name, NoiseKey, Ratios, Strategy, Workload};

const STEPS: usize = 12;

/// One of each form.
fn strategies() -> Vec<Strategy> {
    let workload = Workload::new(Ratios::exponential(STEPS, 0.1).unwrap());
    let blt = Blt::new(vec![0.3, 0.1], vec![0.9, 0.5]).unwrap();
    vec![
        Strategy::identity(STEPS).unwrap(),
        Strategy::output(&workload),
        Strategy::lr_root(&workload),
        Strategy::bsr(&workload, 5).unwrap(),
        Strategy::lr_bisr(&workload, 4).unwrap(),
        Strategy::lambda_cgd(STEPS, 0.7).unwrap(),
        Strategy::new(Name::Blt, STEPS, Form::Buffered { blt }).unwrap(),
    ]
}

fn devices() -> Vec<Device> {
    vec![
        Device::flex(),
        #[cfg(feature = "vulkan")]
        Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
    ]
}

fn gaussian() -> Gaussian {
    Gaussian::new(NoiseKey::insecure(4))
}

fn on_slices(strategy: &Strategy, len: usize) -> Vec<Vec<f32>> {
    let mut noise = NoiseStream::new(strategy, len, gaussian(), Memory::Ring).unwrap();
    let next = |_| {
        let mut out = vec![0.25; len];
        noise.add_next(0.5, &mut out).unwrap();
        out
    };
    (0..STEPS).map(next).collect()
}

fn on_tensors(noise: &mut TensorNoise, device: &Device, steps: usize) -> Vec<Vec<f32>> {
    let len = noise.vector_len();
    let next = |_| {
        let out = noise.add_next(0.5, Tensor::full([len], 0.25, device)).unwrap();
        out.into_data().try_to_vec().unwrap()
    };
    (0..steps).map(next).collect()
}

fn tensor_noise(strategy: &Strategy, len: usize, memory: Memory, device: &Device) -> Result<TensorNoise, Error> {
    TensorNoise::new(strategy, len, gaussian(), memory, device)
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()));
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tensors_get_the_noise_of_slices() {
    let len = CHUNK + 77;
    for strategy in strategies() {
        let slices = on_slices(&strategy, len);
        for device in devices() {
            for memory in [Memory::Ring, Memory::Replay] {
                let Ok(mut noise) = tensor_noise(&strategy, len, memory, &device) else {
                    assert!(matches!(strategy.form(), Form::Direct { .. } | Form::Buffered { .. }));
                    continue;
                };
                let tensors = on_tensors(&mut noise, &device, STEPS);
                let exact = device == Device::flex() && !matches!(strategy.form(), Form::Buffered { .. });
                // Sums of up to 12 numbers below 16, each rounded.
                let bound = if exact { 0.0 } else { 1e-5 };
                let difference = largest_difference(&tensors, &slices);
                assert!(difference <= bound, "{} on {device:?}: {difference}", strategy.name());
            }
        }
    }
}

#[test]
fn another_key_gives_other_noise() {
    let strategy = Strategy::identity(STEPS).unwrap();
    for device in devices() {
        let other = Gaussian::new(NoiseKey::insecure(5));
        let mut noise = TensorNoise::new(&strategy, 9, other, Memory::Ring, &device).unwrap();
        assert!(largest_difference(&on_tensors(&mut noise, &device, STEPS), &on_slices(&strategy, 9)) > 0.1);
    }
}

#[test]
fn streams_continue_from_their_bytes() {
    for device in devices() {
        for strategy in strategies() {
            let fresh = || tensor_noise(&strategy, 9, Memory::Ring, &device).unwrap();
            let whole = on_tensors(&mut fresh(), &device, STEPS);
            for stop in [0, 1, 3, 7, STEPS] {
                let mut first = fresh();
                on_tensors(&mut first, &device, stop);
                let mut second = fresh();
                second.restore(&first.save()).unwrap();
                assert_eq!(second.position(), stop as u64);
                assert_eq!(on_tensors(&mut second, &device, STEPS - stop), whole[stop..], "{} from {stop}", strategy.name());
            }
        }
    }
}

#[test]
fn a_run_moves_between_slices_and_tensors() {
    let strategy = &strategies()[4];
    let mut slices = NoiseStream::new(strategy, 9, gaussian(), Memory::Ring).unwrap();
    for _ in 0..5 {
        slices.add_next(1.0, &mut [0.0; 9]).unwrap();
    }
    let device = Device::flex();
    let mut tensors = tensor_noise(strategy, 9, Memory::Ring, &device).unwrap();
    tensors.restore(&slices.save()).unwrap();
    assert_eq!(on_tensors(&mut tensors, &device, STEPS - 5), on_slices(strategy, 9)[5..]);
}

#[test]
fn wrong_lengths_and_steps_are_refused() {
    let device = Device::flex();
    let mut noise = tensor_noise(&Strategy::identity(2).unwrap(), 9, Memory::Ring, &device).unwrap();
    assert!(matches!(noise.add_next(1.0, Tensor::zeros([8], &device)), Err(Error::Value { .. })));
    assert_eq!(noise.position(), 0, "a refused step is not spent");
    on_tensors(&mut noise, &device, 2);
    assert!(matches!(noise.add_next(1.0, Tensor::zeros([9], &device)), Err(Error::Exhausted { steps: 2 })));
    assert!(matches!(noise.go_to(3), Err(Error::Exhausted { steps: 2 })));
}

#[test]
fn memory_is_that_of_the_strategy() {
    let device = Device::flex();
    for strategy in strategies() {
        let vectors = tensor_noise(&strategy, 9, Memory::Ring, &device).unwrap().memory_vectors();
        // A buffer is one vector here, and twice as large in the f64 of the slices.
        let halved = matches!(strategy.form(), Form::Buffered { .. });
        assert_eq!(vectors, strategy.memory_vectors() / if halved { 2 } else { 1 }, "{}", strategy.name());
    }
}
