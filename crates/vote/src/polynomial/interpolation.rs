//! The polynomial of least degree through given points.

use super::Polynomial;
use crate::{Error, Field, Result};

/// The polynomial of least degree through the points `(x, y)`, in O(points^2) by Newton's divided differences.
///
/// # Errors
/// [`Error::Value`] if a place occurs twice or a number is not an element.
pub fn interpolate(field: Field, points: &[(u8, u8)]) -> Result<Polynomial> {
    let mut newton: Vec<u8> = Vec::with_capacity(points.len());
    for (n, &(x, y)) in points.iter().enumerate() {
        if x >= field.order() || y >= field.order() {
            return Err(Error::value("a point", format!("({x}, {y})"), &format!("of elements below {}", field.order())));
        }
        // The value and the node polynomial of the first n points at x.
        let (mut value, mut nodes) = (0, 1);
        for (&difference, &(node, _)) in newton.iter().zip(&points[..n]) {
            value = field.add(value, field.multiply(difference, nodes));
            nodes = field.multiply(nodes, field.subtract(x, node));
        }
        let inverse = field.inverse(nodes).ok_or_else(|| Error::value("a place", x, "different from the other places"))?;
        newton.push(field.multiply(field.subtract(y, value), inverse));
    }
    let mut coefficients = vec![0; points.len().max(1)];
    for (&difference, &(node, _)) in newton.iter().zip(points).rev() {
        // coefficients = coefficients (x - node) + difference
        for k in (0..coefficients.len()).rev() {
            let below = if k > 0 { coefficients[k - 1] } else { difference };
            coefficients[k] = field.subtract(below, field.multiply(coefficients[k], node));
        }
    }
    Ok(Polynomial::new(field, coefficients))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_passes_through_its_points_with_the_least_degree() {
        let field = Field::new(13).unwrap();
        let points = [(3, 5), (0, 1), (7, 12), (12, 0)];
        let f = interpolate(field, &points).unwrap();
        assert!(points.iter().all(|&(x, y)| f.evaluate(x) == y) && f.degree() <= 3);
        // Values of x^2 at five places give x^2.
        let squares: Vec<_> = [1, 2, 5, 6, 9].map(|x| (x, field.multiply(x, x))).to_vec();
        assert_eq!(interpolate(field, &squares).unwrap().coefficients(), [0, 0, 1]);
        assert_eq!(interpolate(field, &[]).unwrap().coefficients(), [0]);
    }

    #[test]
    fn repeated_places_and_strangers_are_refused() {
        let field = Field::new(5).unwrap();
        assert!(interpolate(field, &[(1, 2), (1, 2)]).is_err());
        assert!(interpolate(field, &[(5, 0)]).is_err() && interpolate(field, &[(0, 5)]).is_err());
    }
}
