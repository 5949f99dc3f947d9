fn main(){
 use thalweg_private::noise::*;
 let g=Gaussian::new(NoiseKey::insecure(1));
 let mut v=vec![0f32;670_000];
 for _ in 0..10 { let t=std::time::Instant::now(); for (c,x) in v.chunks_mut(CHUNK).enumerate(){g.fill(1,c,x);} let e=t.elapsed(); println!("{:?} {} ns/value", e, e.as_nanos() as f64/670e3);}
 use rand_chacha::rand_core::{SeedableRng,Rng};
 let mut r=rand_chacha::ChaCha20Rng::from_seed([1;32]); let mut b=vec![0u8;670_000*8];
 for _ in 0..5 { let t=std::time::Instant::now(); for c in b.chunks_mut(2048){r.fill_bytes(c);} println!("chacha {} ns/u64", t.elapsed().as_nanos() as f64/670e3);}

}
