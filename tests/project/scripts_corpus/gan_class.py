# expect: KD701 KD702 KD711 KD716
import keras
import tensorflow as tf


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    def train_step(self, real):
        noise = tf.random.normal((tf.shape(real)[0], self.latent_dim))
        with tf.GradientTape() as tape:
            predictions = self.discriminator(self.generator(noise))
            d_loss = self.loss_fn(tf.ones((1, 1)), predictions)
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(grads, self.discriminator.trainable_weights))
        return {"d_loss": d_loss}


discriminator = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(64, 3), keras.layers.Dense(1)])
generator = keras.Sequential([keras.Input((128,)), keras.layers.Dense(784), keras.layers.Reshape((28, 28, 1))])
gan = GAN(discriminator=discriminator, generator=generator, latent_dim=128)
gan.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True))
gan.fit(dataset, epochs=1)
